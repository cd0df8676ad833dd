/**
 * Resolution: the same batch again, without the requests whose deadline has passed meanwhile, until it has an answer. Whatever
 * became of an attempt, the next one finds out; no buyer who may have bought is told "failed".
 */
import { setTimeout as pause } from 'node:timers/promises';
import { classify, type Fault } from '../db/faults.js';
import { isLate, type Place } from './admission.js';
import { AttemptFault, type Doubt } from './attempt.js';
import type { Attempt } from './pathChoice.js';
import type { Outcome, PurchaseRequest } from './types.js';

export interface Entry {
  readonly request: PurchaseRequest;
  readonly place: Place;
}

/** What became of a request; `failed` if the database refuses it, and it alone: a bug in this service. */
export type Resolved = Outcome | { readonly kind: 'failed'; readonly error: unknown };

export interface Resolution {
  readonly sellBy: (attempt: Attempt) => Promise<readonly Outcome[]>;
  /** Is so little time left that a transaction that begins with it may end past its deadline? */
  readonly isTooLateToBegin: (place: Place) => boolean;
  /** The answer of the deadline. */
  readonly late: (entry: Entry) => Outcome;
  /** Told of those whom a transaction is about to carry. */
  readonly onBegin: (entries: readonly Entry[]) => void;
  readonly onFault: (fault: Fault, error: unknown) => void;
}

/** Between two attempts at a batch: 20 to 100 ms at random, so that replicas do not storm a database that has just come back. */
const pauseMs = () => 20 + Math.random() * 80;

/**
 * @param doubt what may have become of earlier attempts
 * @returns one answer per entry, in order; never throws
 */
export async function resolve(
  resolution: Resolution,
  eventId: string,
  entries: readonly Entry[],
  doubt: Doubt = 'not committed',
): Promise<readonly Resolved[]> {
  let failed = doubt !== 'not committed';
  for (;;) {
    const trial = new Trial(resolution, eventId, entries, doubt, failed);
    try {
      return trial.answers(await resolution.sellBy(trial));
    } catch (error) {
      const fault = classify(error);
      resolution.onFault(fault, error);
      doubt = worse(doubt, error instanceof AttemptFault ? error.doubt : 'in doubt');
      trial.end(doubt);
      if (fault.transient) {
        await pause(pauseMs());
      } else if (failed) {
        // One request may be at fault, or all of them: those who are not must not suffer for it.
        if (entries.length > 1) return inHalves(resolution, eventId, entries, doubt);
        if (doubt === 'not committed') return [{ kind: 'failed', error }];
        await pause(pauseMs());
      }
      failed = true;
    }
  }
}

async function inHalves(resolution: Resolution, eventId: string, entries: readonly Entry[], doubt: Doubt): Promise<readonly Resolved[]> {
  const middle = entries.length >>> 1;
  const first = await resolve(resolution, eventId, entries.slice(0, middle), doubt);
  return [...first, ...(await resolve(resolution, eventId, entries.slice(middle), doubt))];
}

/** One attempt at a batch, and the requests that it carries. */
class Trial implements Attempt {
  readonly #resolution: Resolution;
  readonly #entries: readonly Entry[];
  #live: readonly Entry[] = [];
  #begun = false;

  constructor(
    resolution: Resolution,
    readonly eventId: string,
    entries: readonly Entry[],
    /** Of the attempts before this one. */
    readonly doubt: Doubt,
    readonly failedBefore: boolean,
  ) {
    this.#resolution = resolution;
    this.#entries = entries;
  }

  get requests(): readonly PurchaseRequest[] {
    return this.#entries.map(({ request }) => request);
  }

  /**
   * After an attempt in doubt, only what that attempt carried: it is looked up to the last moment, and nothing joins it. A request
   * that joined could be sold to while the refusal of another rests on an attempt without it.
   */
  begin(): readonly PurchaseRequest[] {
    const mayBegin =
      this.doubt === 'not committed'
        ? ({ place }: Entry) => !this.#resolution.isTooLateToBegin(place)
        : ({ place }: Entry) => place.started && !isLate(place);
    this.#live = this.#entries.filter(mayBegin);
    for (const { place } of this.#live) place.started = true;
    if (this.#live.length > 0 && !this.#begun) this.#resolution.onBegin(this.#live);
    this.#begun = true;
    return this.#live.map(({ request }) => request);
  }

  undone(): void {
    this.end(this.doubt);
  }

  end(doubt: Doubt): void {
    for (const { place } of this.#live) place.started = doubt !== 'not committed';
  }

  /** One outcome per entry: those of the live, and the answer of the deadline for everybody else. */
  answers(outcomes: readonly Outcome[]): readonly Outcome[] {
    if (outcomes.length === this.#entries.length) return outcomes;
    const byEntry = new Map(this.#live.map((entry, index) => [entry, outcomes[index]]));
    return this.#entries.map((entry) => byEntry.get(entry) ?? this.#resolution.late(entry));
  }
}

function worse(one: Doubt, other: Doubt): Doubt {
  const order = ['not committed', 'in doubt', 'in doubt and unfenced'] as const;
  return order[Math.max(order.indexOf(one), order.indexOf(other))] ?? 'in doubt and unfenced';
}
