/**
 * Resolution: the same batch again, without those whose deadline has passed meanwhile, until it has an answer. Whatever
 * became of an attempt, the next one finds out; nobody is told "failed" who may have bought.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { classify, type Fault } from '../db/faults.js';
import { isLate, type Place } from './admission.js';
import type { Outcome, PurchaseRequest } from './outcome.js';
import type { Attempt } from './paths.js';
import { BatchFault } from './sellBatch.js';

export interface Entry {
  readonly request: PurchaseRequest;
  readonly place: Place;
}

/** What became of a request; `failed` if the database refuses it, and it alone: a mistake of ours. */
export type Resolved = Outcome | { readonly kind: 'failed'; readonly error: unknown };

export interface Resolution {
  /** Sells a batch; `withCare` when it may have happened before, or did not go well. */
  readonly sellBy: (attempt: Attempt, withCare: boolean) => Promise<readonly Outcome[]>;
  /** Is so little time left that a transaction that begins with it may end past its deadline? */
  readonly isTooLateToBegin: (place: Place) => boolean;
  /** The answer of the deadline. */
  readonly late: (entry: Entry) => Outcome;
  /** Told of those whom a transaction is about to carry. */
  readonly onBegin: (entries: readonly Entry[]) => void;
  readonly onFault: (fault: Fault, error: unknown) => void;
}

type Happened = BatchFault['happened'];

/** Between two attempts at a batch: 20 to 100 ms at random, so that replicas do not storm a database that has just come back. */
const pauseMs = () => 20 + Math.random() * 80;

/**
 * @param happened what may have become of earlier attempts
 * @returns one answer per entry, in order; never throws
 */
export async function resolve(
  resolution: Resolution,
  eventId: string,
  entries: readonly Entry[],
  happened: Happened = 'no',
): Promise<readonly Resolved[]> {
  let withCare = happened !== 'no';
  for (;;) {
    const trial = new Trial(resolution, eventId, entries, happened !== 'no');
    try {
      const outcomes = await resolution.sellBy(trial, withCare);
      return trial.answers(happened !== 'perhaps later' || isConclusive(outcomes) ? outcomes : []);
    } catch (error) {
      const fault = classify(error);
      resolution.onFault(fault, error);
      happened = worse(happened, error instanceof BatchFault ? error.happened : 'perhaps');
      trial.mayHaveHappened = happened !== 'no';
      trial.undone();
      if (fault.transient) {
        await pause(pauseMs());
      } else if (withCare) {
        // One request may be at fault, or all of them: those who are not must not suffer for it.
        if (entries.length > 1) return inHalves(resolution, eventId, entries, happened);
        if (happened === 'no') return [{ kind: 'failed', error }];
        await pause(pauseMs());
      }
      withCare = true;
    }
  }
}

async function inHalves(
  resolution: Resolution,
  eventId: string,
  entries: readonly Entry[],
  happened: Happened,
): Promise<readonly Resolved[]> {
  const middle = entries.length >>> 1;
  const first = await resolve(resolution, eventId, entries.slice(0, middle), happened);
  return [...first, ...(await resolve(resolution, eventId, entries.slice(middle), happened))];
}

/** One attempt at a batch, and whom it carries. */
class Trial implements Attempt {
  readonly #resolution: Resolution;
  readonly #entries: readonly Entry[];
  #live: readonly Entry[] = [];
  #begun = false;

  constructor(
    resolution: Resolution,
    readonly eventId: string,
    entries: readonly Entry[],
    /** An attempt before this one may have sold. */
    public mayHaveHappened: boolean,
  ) {
    this.#resolution = resolution;
    this.#entries = entries;
  }

  get requests(): readonly PurchaseRequest[] {
    return this.#entries.map(({ request }) => request);
  }

  begin(): readonly PurchaseRequest[] {
    // Whoever may have bought is looked up to the last moment; for others a transaction that cannot end in time must not begin.
    const isTooLate = this.mayHaveHappened ? isLate : this.#resolution.isTooLateToBegin;
    this.#live = this.#entries.filter(({ place }) => !isTooLate(place));
    for (const { place } of this.#live) place.started = true;
    if (this.#live.length > 0 && !this.#begun) this.#resolution.onBegin(this.#live);
    this.#begun = true;
    return this.#live.map(({ request }) => request);
  }

  undone(): void {
    for (const { place } of this.#live) place.started = this.mayHaveHappened;
  }

  /** One outcome per entry: those of the live, where there are any, and the answer of the deadline for everybody else. */
  answers(outcomes: readonly Outcome[]): readonly Outcome[] {
    if (outcomes.length === this.#entries.length) return outcomes;
    const byEntry = new Map(this.#live.map((entry, index) => [entry, outcomes[index]]));
    return this.#entries.map((entry) => byEntry.get(entry) ?? this.#resolution.late(entry));
  }
}

function worse(one: Happened, other: Happened): Happened {
  const order = ['no', 'perhaps', 'perhaps later'] as const;
  return order[Math.max(order.indexOf(one), order.indexOf(other))] ?? 'perhaps later';
}

/**
 * May refusals be told after a straight attempt that may still arrive? If a purchase of this batch, or of one of its keys, is
 * committed, then they may: the stray collides with it on a unique key, all of it. If everybody was refused there is
 * nothing to collide with, and the stray could still sell to them, after a limit was raised, say.
 */
function isConclusive(outcomes: readonly Outcome[]): boolean {
  return outcomes.some(({ kind }) => kind === 'sold' || kind === 'idempotency-key-reused');
}
