/**
 * START HERE. A purchase comes in as a request and leaves as an outcome:
 *
 *     sell: admit (bounded line, deadline) → group commit → a batch, one of three ways → one outcome per request, in order
 *
 * Nothing here outlives the process or must: any replica can answer, and whatever was answered is in Postgres.
 */
import type { Pool } from '../db/client.js';
import type { Fault } from '../db/faults.js';
import { Admission, type AdmissionLimits } from './admission.js';
import { GroupCommit } from './groupCommit.js';
import type { Outcome, PurchaseRequest } from './outcome.js';
import { createPaths, largestPurchase } from './paths.js';
import { type Entry, resolve, type Resolution, type Resolved } from './resolve.js';

export interface SaleLimits extends AdmissionLimits {
  readonly batchRequestsMax: number;
  readonly batchTicketsMax: number;
  /** Transactions of all events in the database at once: the pool's connections. At least 2. */
  readonly connectionsMax: number;
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
  /** Requests in line, not yet in a batch. */
  readonly waiting: number;
  /** Batches under way. */
  readonly inFlight: number;
  /** Admits nobody from here on; resolves when all who were admitted are served. */
  close(): Promise<void>;
}

export function createSale(pool: Pool, limits: SaleLimits, observer: SaleObserver): Sale {
  const admission = new Admission<string>(limits);
  const overloaded = (): Outcome => ({ kind: 'overloaded', retryAfterSeconds: admission.retryAfterSeconds() });

  /** At the deadline: refused if no transaction carries the request, unknown, and never "failed", if one may have. */
  function late({ request, place }: Entry): Outcome {
    if (!place.started) return overloaded();
    return { kind: 'outcome-unknown', purchaseId: request.purchaseId, retryAfterSeconds: admission.retryAfterSeconds() };
  }

  const resolution: Resolution = {
    sellBy: createPaths(pool, limits),
    isTooLateToBegin: (place) => admission.isTooLateToBegin(place),
    late,
    onFault: (fault, error) => {
      observer.fault(fault, error);
    },
  };
  const line = new GroupCommit<string, Entry, Resolved>({
    run: (eventId, entries) => {
      observer.batch(entries.length);
      return resolve(resolution, eventId, entries);
    },
    expired: ({ place }) => (admission.isTooLateToBegin(place) ? overloaded() : undefined),
    weigh: ({ request }) => Math.min(request.quantity, largestPurchase),
    batchSizeMax: limits.batchRequestsMax,
    batchWeightMax: limits.batchTicketsMax,
    inFlightPerKeyMax: 1,
  });

  return {
    sell: async (eventId, request) => {
      const answer = await admission.admit<Resolved>(eventId, {
        serve: (place) => line.submit(eventId, { request, place }),
        shed: overloaded,
        late: (place) => late({ request, place }),
      });
      if (answer.kind === 'failed') throw answer.error;
      observer.outcome(answer.kind, answer.kind === 'sold' && answer.replayed);
      return answer;
    },
    get waiting() {
      return line.waiting;
    },
    get inFlight() {
      return line.inFlight;
    },
    close: () => admission.close(),
  };
}
