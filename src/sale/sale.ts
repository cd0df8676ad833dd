/**
 * START HERE. A purchase comes in as a request and leaves as an outcome:
 *
 *     sell: admission (bounds, deadline) → queue → a batch of everything in it → an attempt → a path → one outcome per request
 *
 * A release or a cancellation goes the same way. A confirmation has a queue of its own and needs no path: it takes nothing from the
 * event (confirm.ts). Every path calls `decide`, the only place where the rules are written. No state here needs to survive the process: everything
 * that was answered is in Postgres, so any replica can answer.
 */
import { Batcher } from '../concurrency/batcher.js';
import type { Pool } from '../db/client.js';
import type { Fault } from '../db/faults.js';
import { Admission, type AdmissionLimits } from './admission.js';
import type { Path } from './attempt.js';
import { Batches, type Resolved } from './batch.js';
import { BuyersAtLimit, type QueueKey } from './buyersAtLimit.js';
import { Confirmations } from './confirm.js';
import type { EventRegistry } from './eventRegistry.js';
import { type ProgressLimits, RequestInProgress } from './inProgress.js';
import { Paths, weightOf } from './pathChoice.js';
import type { ConfirmRequest, EventRequest, Outcome, OverloadReason, SaleRequest } from './types.js';

export interface SaleLimits extends AdmissionLimits {
  readonly batchRequestsMax: number;
  readonly batchTicketsMax: number;
  /** Concurrent transactions of all events, which is the number of the pool's connections. At least 6. */
  readonly connectionsMax: number;
}

/** What a failed attempt carried. */
export interface CarriedByAttempt {
  /** Empty for confirmations, which are of several events. */
  readonly eventId: string;
  readonly requests: number;
  /** Undefined if it failed before it chose a path. */
  readonly path: Path | undefined;
  /** Whether an earlier attempt at the same batch failed. */
  readonly failedBefore: boolean;
}

/** Receives the events of a sale, for metrics and logs. Every method returns quickly and does not throw. */
export interface SaleObserver {
  outcome(request: SaleRequest['kind'], outcome: Outcome): void;
  /** A request was refused before any transaction began. */
  refused(reason: OverloadReason): void;
  /** A transaction is about to carry a batch. @param waitedMs how long its first request was waiting */
  began(requests: number, waitedMs: number): void;
  /** An attempt at a batch has ended, successfully or not. */
  ended(path: Path, tookMs: number): void;
  fault(fault: Fault, error: unknown, carried: CarriedByAttempt): void;
}

export interface Sale {
  /**
   * Buys tickets, or gives back what a purchase took, or returns the reason why not. Answers by the deadline whatever happens to
   * the database.
   *
   * @param isGone whether the client has disconnected: then no attempt needs to begin, but one that has begun continues
   * @throws AttemptFault if the database rejects the request's statement, which is a bug in this service and is not retried
   */
  sell(eventId: string, request: EventRequest, isGone?: () => boolean): Promise<Outcome>;
  /** Confirms a hold, likewise. */
  confirm(request: ConfirmRequest): Promise<Outcome>;
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

/** Confirmations run beside sales; one statement at a time nearly always does, and a second one while the first waits for a hold. */
const confirmingMax = 2;
/** The queue of all confirmations, and the key under which they are admitted. */
const confirmations: QueueKey = '';

function progressLimits({ deadlineMs }: SaleLimits, admission: Admission<string>): ProgressLimits {
  return { deadlineMs, retryAfterSeconds: () => admission.retryAfterSeconds() };
}

/** @param events the replica's registry of events, shared with the code that looks events up */
export function createSale(pool: Pool, events: EventRegistry, limits: SaleLimits, observer: SaleObserver): Sale {
  const [admission, confirmAdmission] = [new Admission<string>(limits), new Admission<string>(limits)];
  const [progress, confirmProgress] = [progressLimits(limits, admission), progressLimits(limits, confirmAdmission)];
  const paths = new Paths(pool, events, { ...limits, connectionsMax: limits.connectionsMax - confirmingMax }, observer);
  const batches = new Batches<EventRequest>(paths, observer);
  const confirmBatches = new Batches<ConfirmRequest>(new Confirmations(pool, observer), observer);
  const atLimit = new BuyersAtLimit();
  const queueFor = <R extends SaleRequest>(run: Batches<R>, runningPerKeyMax: number) =>
    new Batcher<QueueKey, RequestInProgress<R>, Resolved>({
      run: (queue, batch) => run.serve(queue, batch),
      expired: (inProgress) => (inProgress.mayBegin('not committed') ? undefined : inProgress.answerLate()),
      weigh: ({ request }) => weightOf(request),
      batchSizeMax: limits.batchRequestsMax,
      batchWeightMax: limits.batchTicketsMax,
      runningPerKeyMax,
    });
  const [queue, confirmQueue] = [queueFor(batches, 1), queueFor(confirmBatches, confirmingMax)];

  /** Admission → queue → batch. */
  async function serve<R extends SaleRequest>(
    entrance: Admission<string>,
    key: string,
    inProgress: RequestInProgress<R>,
    requests: Batcher<QueueKey, RequestInProgress<R>, Resolved>,
    queueKey: QueueKey,
  ): Promise<Outcome> {
    const reason = entrance.refuses(key);
    const outcome: Resolved =
      reason === undefined
        ? await entrance.serve(key, requests.submit(queueKey, inProgress), () => inProgress.answerLate())
        : { kind: 'overloaded', reason, retryAfterSeconds: entrance.shed() };
    if (outcome.kind === 'failed') throw outcome.error;
    if (outcome.kind === 'overloaded') observer.refused(outcome.reason);
    observer.outcome(inProgress.request.kind, outcome);
    return outcome;
  }

  return {
    sell: async (eventId, request, isGone) => {
      const inProgress = new RequestInProgress(request, progress, isGone);
      const outcome = await serve(admission, eventId, inProgress, queue, atLimit.queueOf(eventId, request));
      atLimit.learn(eventId, request, outcome);
      return outcome;
    },
    confirm: (request) =>
      serve(confirmAdmission, confirmations, new RequestInProgress(request, confirmProgress), confirmQueue, confirmations),
    refuses: (eventId, isLate) => {
      const reason =
        admission.refuses(eventId) ?? (isLate && queue.waitingFor(eventId) > limits.batchRequestsMax ? 'event loop lag' : undefined);
      if (reason === undefined) return undefined;
      const retryAfterSeconds = admission.shed();
      observer.refused(reason);
      observer.outcome('buy', { kind: 'overloaded', reason, retryAfterSeconds });
      return retryAfterSeconds;
    },
    get waiting() {
      return queue.waiting + confirmQueue.waiting;
    },
    get inProgress() {
      return admission.total + confirmAdmission.total;
    },
    get batchesRunning() {
      return queue.running + confirmQueue.running;
    },
    close: async () => {
      await Promise.all([admission.close(), confirmAdmission.close()]);
    },
  };
}
