/**
 * START HERE. A purchase comes in as a request and leaves as an outcome:
 *
 *     sell: admit (bounded line, deadline) → group commit → sellBatch → one outcome per request, in order
 *
 * Nothing here outlives the process or must: any replica can answer, and whatever was answered is in Postgres.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Pool } from '../db/client.js';
import { classify, type Fault } from '../db/faults.js';
import { Admission, type AdmissionLimits, type Place } from './admission.js';
import { GroupCommit } from './groupCommit.js';
import type { Outcome, PurchaseRequest } from './outcome.js';
import { refuseAll } from './refuseAll.js';
import { BatchFault, sellBatch } from './sellBatch.js';
import { sellStraight } from './sellStraight.js';

export interface SaleLimits extends AdmissionLimits {
  readonly batchRequestsMax: number;
  readonly batchTicketsMax: number;
  /** Batches of all events in the database at once: the pool's connections. */
  readonly batchesInFlightMax: number;
}

/** What a sale tells those who watch it; every call is brief and throws nothing. */
export interface SaleObserver {
  batch(requests: number): void;
  outcome(kind: Outcome['kind'], replayed: boolean): void;
  fault(fault: Fault, error: unknown): void;
}

export interface Sale {
  /**
   * Buys, or says why not. Answers by the deadline whatever happens to the database meanwhile.
   *
   * @throws BatchFault when the database refuses what was asked of it: a mistake of ours, never tried again
   */
  sell(eventId: string, request: PurchaseRequest): Promise<Outcome>;
  /** Requests in line, not yet in a transaction. */
  readonly waiting: number;
  /** Batches in the database. */
  readonly inFlight: number;
  /** Admits nobody from here on; resolves when all who were admitted are served. */
  close(): Promise<void>;
}

interface Entry {
  readonly request: PurchaseRequest;
  readonly place: Place;
}

/** Between two attempts at a batch: 20 to 100 ms at random, so that replicas do not storm a database that has just come back. */
const pauseMs = () => 20 + Math.random() * 80;
/** No request may make a batch heavier than the largest purchase that can be granted. */
const largestPurchase = 1_000;
/** Events whose last batch is remembered; beyond it all are forgotten, which costs one attempt in vain for each. */
const memoriesMax = 10_000;

export function createSale(pool: Pool, limits: SaleLimits, observer: SaleObserver): Sale {
  const admission = new Admission<string>(limits);
  const choosePath = createPathChooser(pool);
  const line = new GroupCommit<string, Entry, Outcome>({
    run: serveBatch,
    expired: ({ place }) => (admission.isTooLateToBegin(place) ? overloaded(admission.retryAfterSeconds()) : undefined),
    weigh: ({ request }) => Math.min(request.quantity, largestPurchase),
    batchSizeMax: limits.batchRequestsMax,
    batchWeightMax: limits.batchTicketsMax,
    inFlightMax: limits.batchesInFlightMax,
    inFlightPerKeyMax: 1,
  });

  async function sell(eventId: string, request: PurchaseRequest): Promise<Outcome> {
    const outcome = await admission.admit<Outcome>(eventId, {
      serve: (place) => line.submit(eventId, { request, place }),
      shed: overloaded,
      late: (place, retryAfterSeconds) => late(request, place, retryAfterSeconds),
    });
    observer.outcome(outcome.kind, outcome.kind === 'sold' && outcome.replayed);
    return outcome;
  }

  /** The same batch again and again, without those whose deadline has passed meanwhile, until it has an answer. */
  async function serveBatch(eventId: string, entries: readonly Entry[]): Promise<readonly Outcome[]> {
    observer.batch(entries.length);
    let happened: BatchFault['happened'] = 'no';
    for (;;) {
      const live = entries.filter(({ place }) => !Admission.isLate(place));
      const requests = live.map((entry) => entry.request);
      if (live.length === 0) return answers(entries, live, []);
      for (const { place } of live) place.started = true;
      try {
        const outcomes = await choosePath(eventId, requests, happened !== 'no');
        return answers(entries, live, happened !== 'perhaps later' || isConclusive(outcomes) ? outcomes : []);
      } catch (error) {
        const fault = classify(error);
        observer.fault(fault, error);
        const latest = error instanceof BatchFault ? error.happened : 'perhaps';
        if (happened === 'no' || latest === 'perhaps later') happened = latest;
        if (!fault.transient && happened === 'no') throw error;
        for (const { place } of live) place.started = happened !== 'no';
      }
      await pause(pauseMs());
    }
  }

  /** One outcome per entry: those of the live, where there are any, and the answer of the deadline for everybody else. */
  function answers(entries: readonly Entry[], live: readonly Entry[], outcomes: readonly Outcome[]): readonly Outcome[] {
    if (outcomes.length === entries.length) return outcomes;
    const byEntry = new Map(live.map((entry, index) => [entry, outcomes[index]]));
    return entries.map((entry) => byEntry.get(entry) ?? late(entry.request, entry.place, admission.retryAfterSeconds()));
  }

  return {
    sell,
    get waiting() {
      return line.waiting;
    },
    get inFlight() {
      return line.inFlight;
    },
    close: () => admission.close(),
  };
}

function overloaded(retryAfterSeconds: number): Outcome {
  return { kind: 'overloaded', retryAfterSeconds };
}

/** At the deadline: refused if no transaction carries the request, unknown, and never "failed", if one may have. */
function late(request: PurchaseRequest, place: Place, retryAfterSeconds: number): Outcome {
  if (!place.started) return overloaded(retryAfterSeconds);
  return { kind: 'outcome-unknown', purchaseId: request.purchaseId, retryAfterSeconds };
}

/**
 * May refusals be told after a straight attempt that may still arrive? If a purchase of this batch, or of one of its keys, is
 * committed, then they may: the stray collides with it on a unique key, all of it. If everybody was refused there is
 * nothing to collide with, and the stray could still sell to them, after a limit was raised, say.
 */
function isConclusive(outcomes: readonly Outcome[]): boolean {
  return outcomes.some(({ kind }) => kind === 'sold' || kind === 'idempotency-key-reused');
}

/** What the last batch of an event came to, where it was not granted whole. Only a hint: every path answers truly. */
type Memory = 'careful' | 'sold out';

/**
 * The next batch of an event will most likely go as the last one did. Granted whole: straight. Sold out: refused together.
 * At the end of a sale, in a storm of retries, and when it is not known what became of an attempt: with care.
 */
function createPathChooser(
  pool: Pool,
): (eventId: string, requests: readonly PurchaseRequest[], mayBeRepeated: boolean) => Promise<Outcome[]> {
  const memories = new Map<string, Memory>();

  async function shortcut(eventId: string, requests: readonly PurchaseRequest[]): Promise<Outcome[] | undefined> {
    const memory = memories.get(eventId);
    if (memory === 'sold out') return refuseAll(pool, eventId, requests);
    if (memory === 'careful' || requests.some(({ quantity }) => quantity > largestPurchase)) return undefined;
    return sellStraight(pool, eventId, requests);
  }

  function remember(eventId: string, outcomes: readonly Outcome[]): void {
    if (outcomes.every((outcome) => outcome.kind === 'sold' && !outcome.replayed)) {
      memories.delete(eventId);
      return;
    }
    if (memories.size >= memoriesMax) memories.clear();
    memories.set(eventId, outcomes.some((outcome) => outcome.kind === 'sold-out') ? 'sold out' : 'careful');
  }

  return async (eventId, requests, mayBeRepeated) => {
    const outcomes = (mayBeRepeated ? undefined : await shortcut(eventId, requests)) ?? (await sellBatch(pool, eventId, requests));
    remember(eventId, outcomes);
    return outcomes;
  };
}
