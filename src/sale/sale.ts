/**
 * START HERE. A purchase comes in as a request and leaves as an outcome:
 *
 *     sell: admission (bounds, deadline) → queue → a batch of everything in it → an attempt → a path → one outcome per request
 *
 * Every path asks `decide`, the only place where the rules are written. Nothing here outlives the process, or must: any replica
 * can answer, and whatever was answered is in Postgres.
 */
import { Batcher } from '../concurrency/batcher.js';
import type { Pool } from '../db/client.js';
import type { Fault } from '../db/faults.js';
import { Admission, type AdmissionLimits } from './admission.js';
import { Batches, type Resolved } from './batch.js';
import type { EventRegistry } from './eventRegistry.js';
import { PurchaseInProgress } from './inProgress.js';
import { type Path, Paths, weightOf } from './pathChoice.js';
import type { Outcome, OverloadReason, PurchaseRequest } from './types.js';

export interface SaleLimits extends AdmissionLimits {
  readonly batchRequestsMax: number;
  readonly batchTicketsMax: number;
  /** Transactions of all events in the database at once: the pool's connections. At least 4. */
  readonly connectionsMax: number;
}

/** What a sale tells those who watch it; every call is brief and throws nothing. */
export interface SaleObserver {
  outcome(kind: Outcome['kind'], replayed: boolean): void;
  /** Refused before any transaction began. */
  refused(reason: OverloadReason): void;
  /** A batch has a transaction. @param waitedMs by the first of it */
  began(requests: number, waitedMs: number): void;
  /** An attempt at a batch is over, well or not. */
  ended(path: Path, tookMs: number): void;
  fault(fault: Fault, error: unknown): void;
}

export interface Sale {
  /**
   * Buys, or says why not. Answers by the deadline whatever happens to the database meanwhile.
   *
   * @param isGone whether the caller has hung up: then nothing need begin, and what has begun goes on
   * @throws AttemptFault when the database refuses what was asked of it: a bug in this service, never tried again
   */
  sell(eventId: string, request: PurchaseRequest, isGone?: () => boolean): Promise<Outcome>;
  /**
   * Would a request for this event be refused at once? Then counts it as refused.
   *
   * @param isLate the event loop is: then nothing is admitted beyond the event's next batch
   * @returns the seconds after which to come back
   */
  refuses(eventId: string, isLate: boolean): number | undefined;
  /** Requests admitted and not yet served. */
  readonly inProgress: number;
  /** Of those, the requests in queues, not yet in a batch. */
  readonly waiting: number;
  readonly batchesRunning: number;
  /** Admits nothing from here on; resolves when every admitted request has been served. */
  close(): Promise<void>;
}

/** @param events what is known of them; shared with whatever looks events up */
export function createSale(pool: Pool, events: EventRegistry, limits: SaleLimits, observer: SaleObserver): Sale {
  const admission = new Admission<string>(limits);
  const batches = new Batches(new Paths(pool, events, limits, observer), observer);
  const queue = new Batcher<string, PurchaseInProgress, Resolved>({
    run: (eventId, batch) => batches.sell(eventId, batch),
    expired: (inProgress) => (inProgress.mayBegin('not committed') ? undefined : inProgress.answerLate()),
    weigh: ({ request }) => weightOf(request),
    batchSizeMax: limits.batchRequestsMax,
    batchWeightMax: limits.batchTicketsMax,
  });
  const progress = { deadlineMs: limits.deadlineMs, retryAfterSeconds: () => admission.retryAfterSeconds() };

  async function answer(eventId: string, request: PurchaseRequest, isGone?: () => boolean): Promise<Resolved> {
    const reason = admission.refuses(eventId);
    if (reason !== undefined) return { kind: 'overloaded', reason, retryAfterSeconds: admission.shed() };
    const inProgress = new PurchaseInProgress(request, progress, isGone);
    return admission.serve(eventId, queue.submit(eventId, inProgress), () => inProgress.answerLate());
  }

  return {
    sell: async (eventId, request, isGone) => {
      const outcome = await answer(eventId, request, isGone);
      if (outcome.kind === 'failed') throw outcome.error;
      if (outcome.kind === 'overloaded') observer.refused(outcome.reason);
      observer.outcome(outcome.kind, outcome.kind === 'sold' && outcome.replayed);
      return outcome;
    },
    refuses: (eventId, isLate) => {
      const reason =
        admission.refuses(eventId) ?? (isLate && queue.waitingFor(eventId) > limits.batchRequestsMax ? 'event loop lag' : undefined);
      if (reason === undefined) return undefined;
      observer.refused(reason);
      observer.outcome('overloaded', false);
      return admission.shed();
    },
    get waiting() {
      return queue.waiting;
    },
    get inProgress() {
      return admission.total;
    },
    get batchesRunning() {
      return queue.running;
    },
    close: () => admission.close(),
  };
}
