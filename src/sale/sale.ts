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
import { type Entry, resolve, type Resolution, type Resolved } from './batch.js';
import type { EventRegistry } from './eventRegistry.js';
import { GroupCommit } from './groupCommit.js';
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
   * @param isLate the event loop is: then nobody is let in beyond the event's next batch
   * @returns the seconds after which to come back
   */
  refuses(eventId: string, isLate: boolean): number | undefined;
  /** Requests in line, not yet in a batch. */
  readonly waiting: number;
  /** Batches under way. */
  readonly inFlight: number;
  /** Admits nobody from here on; resolves when all who were admitted are served. */
  close(): Promise<void>;
}

/** @param events what is known of them; shared with whatever looks events up */
export function createSale(pool: Pool, events: EventRegistry, limits: SaleLimits, observer: SaleObserver): Sale {
  const admission = new Admission<string>(limits);

  const paths = new Paths(pool, events, limits, (path, tookMs) => {
    observer.ended(path, tookMs);
  });
  const overloaded = (retryAfterSeconds: number, reason: OverloadReason): Outcome => ({ kind: 'overloaded', reason, retryAfterSeconds });

  /** At the deadline: refused if no transaction carries the request, unknown, and never "failed", if one may have. */
  function late({ request, place }: Entry): Outcome {
    const retryAfterSeconds = admission.retryAfterSeconds();
    if (!place.started) return overloaded(retryAfterSeconds, place.isGone() ? 'client gone' : 'too late');
    return { kind: 'outcome-unknown', purchaseId: request.purchaseId, retryAfterSeconds };
  }

  const resolution: Resolution = {
    sellBy: (attempt) => paths.sell(attempt),
    isTooLateToBegin: (place) => admission.isTooLateToBegin(place),
    late,
    onBegin: (entries) => {
      observer.began(entries.length, performance.now() - (entries[0]?.place.admittedAtMs ?? 0));
    },
    onFault: (fault, error) => {
      observer.fault(fault, error);
    },
  };
  const line = new GroupCommit<string, Entry, Resolved>({
    run: (eventId, entries) => resolve(resolution, eventId, entries),
    expired: (entry) => (admission.isTooLateToBegin(entry.place) ? late(entry) : undefined),
    weigh: ({ request }) => weightOf(request),
    batchSizeMax: limits.batchRequestsMax,
    batchWeightMax: limits.batchTicketsMax,
    inFlightPerKeyMax: 1,
  });

  return {
    sell: async (eventId, request, isGone) => {
      const answer = await admission.admit<Resolved>(eventId, {
        serve: (place) => line.submit(eventId, { request, place }),
        shed: overloaded,
        late: (place) => late({ request, place }),
        isGone,
      });
      if (answer.kind === 'failed') throw answer.error;
      if (answer.kind === 'overloaded') observer.refused(answer.reason);
      observer.outcome(answer.kind, answer.kind === 'sold' && answer.replayed);
      return answer;
    },
    refuses: (eventId, isLate) => {
      const reason =
        admission.refuses(eventId) ?? (isLate && line.waitingFor(eventId) > limits.batchRequestsMax ? 'event loop lag' : undefined);
      if (reason === undefined) return undefined;
      observer.refused(reason);
      observer.outcome('overloaded', false);
      return admission.shed();
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
