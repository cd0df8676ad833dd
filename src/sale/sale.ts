/**
 * START HERE. A purchase comes in as a request and leaves as an outcome:
 *
 *     sell: admission (bounds, deadline) → queue → a batch of everything in it → an attempt → a path → one outcome per request
 *
 * Every path calls `decide`, the only place where the rules are written. No state here needs to survive the process: everything
 * that was answered is in Postgres, so any replica can answer.
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
  /** Concurrent transactions of all events, which is the number of the pool's connections. At least 4. */
  readonly connectionsMax: number;
}

/** Receives the events of a sale, for metrics and logs. Every method returns quickly and does not throw. */
export interface SaleObserver {
  outcome(kind: Outcome['kind'], replayed: boolean): void;
  /** A request was refused before any transaction began. */
  refused(reason: OverloadReason): void;
  /** A transaction is about to carry a batch. @param waitedMs how long its first request was waiting */
  began(requests: number, waitedMs: number): void;
  /** An attempt at a batch has ended, successfully or not. */
  ended(path: Path, tookMs: number): void;
  fault(fault: Fault, error: unknown): void;
}

export interface Sale {
  /**
   * Buys tickets, or returns the reason why not. Answers by the deadline whatever happens to the database.
   *
   * @param isGone whether the client has disconnected: then no attempt needs to begin, but one that has begun continues
   * @throws AttemptFault if the database rejects the request's statement, which is a bug in this service and is not retried
   */
  sell(eventId: string, request: PurchaseRequest, isGone?: () => boolean): Promise<Outcome>;
  /**
   * Checks whether a request for this event would be refused at once; if so, counts it as refused.
   *
   * @param isLate whether the event-loop lag is too high: then an event admits no more than fit into its next batch
   * @returns the seconds after which the client should retry; undefined if the request would be admitted
   */
  refuses(eventId: string, isLate: boolean): number | undefined;
  /** Requests admitted and not yet served. */
  readonly inProgress: number;
  /** Of those, the requests in the queues, not yet in a batch. */
  readonly waiting: number;
  readonly batchesRunning: number;
  /** Stops admitting requests; resolves when every admitted request has been served. */
  close(): Promise<void>;
}

/** @param events the replica's registry of events, shared with the code that looks events up */
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
