/**
 * Which path a batch takes. The next batch of an event most likely goes as the last one did: granted on the fast path, refused
 * by a snapshot, or, at the end of a sale and after every fault, on the locked path. That memory is only a hint: each path
 * answers truly, and hands the batch on when it cannot.
 *
 * Each path has connections of its own, so that a row that another session keeps locked holds up only what must wait for it.
 */
import { Batcher } from '../concurrency/batcher.js';
import { semaphore, type Semaphore } from '../concurrency/semaphore.js';
import type { Pool } from '../db/client.js';
import { classify } from '../db/faults.js';
import type { Attempt } from './attempt.js';
import { isShortage } from './decide.js';
import type { EventRegistry, PathHint } from './eventRegistry.js';
import { type FastBatch, sellFast } from './fastPath.js';
import { type LockedAnswer, sellLocked } from './lockedPath.js';
import { refuseBySnapshot } from './snapshotPath.js';
import type { Outcome, PurchaseRequest, Rules } from './types.js';

export interface PathLimits {
  /** Tickets of one statement, of all events in it. */
  readonly batchTicketsMax: number;
  /** Transactions in the database at once: the pool's connections. At least 4. */
  readonly connectionsMax: number;
}

export type Path = 'fast' | 'snapshot' | 'locked';

export interface PathObserver {
  /** A transaction is over, well or not. @param tookMs in the database */
  ended(path: Path, tookMs: number): void;
}

/** The largest purchase that can be granted. */
const largestPurchase = 1_000;
const lockNotAvailable = '55P03';
/** Events that share one statement: far more than can be told apart in its duration. */
const eventsMax = 500;

interface FastAttempt {
  readonly attempt: Attempt;
  readonly rules: Rules;
}

export class Paths {
  readonly #pool: Pool;
  readonly #events: EventRegistry;
  readonly #observer: PathObserver;
  readonly #fastBatches: Batcher<'fast', FastAttempt, Outcome[] | undefined>;
  readonly #snapshots = semaphore(1);
  readonly #locked: Semaphore;
  readonly #heldRows = semaphore(1);

  constructor(pool: Pool, events: EventRegistry, limits: PathLimits, observer: PathObserver) {
    this.#pool = pool;
    this.#events = events;
    this.#observer = observer;
    // One connection reads snapshots, one waits for rows that others hold, and of the rest half is for the locked path.
    const lockedMax = Math.max(1, Math.floor((limits.connectionsMax - 2) / 2));
    const fastMax = limits.connectionsMax - 2 - lockedMax;
    this.#locked = semaphore(lockedMax);
    this.#fastBatches = new Batcher({
      run: (_key, attempts) => this.#sellFast(attempts),
      weigh: ({ attempt }) => attempt.batch.reduce((sum, { request }) => sum + weightOf(request), 0),
      batchSizeMax: eventsMax,
      batchWeightMax: limits.batchTicketsMax,
      runningPerKeyMax: fastMax,
    });
  }

  /** @returns one outcome per request that `begin` returned last, in order. @throws AttemptFault */
  async sell(attempt: Attempt): Promise<readonly Outcome[]> {
    const { eventId } = attempt;
    try {
      const outcomes = await this.#choose(attempt, this.#events.hintOf(eventId));
      if (outcomes.length > 0) this.#events.remember(eventId, hintFor(outcomes), outcomes.some(isReplay));
      return outcomes;
    } catch (fault) {
      // By itself from here on: whatever held this event up must not hold up those that shared a statement with it.
      this.#events.remember(eventId, classify(fault).sqlState === lockNotAvailable ? 'row held' : 'locked', false);
      throw fault;
    }
  }

  async #choose(attempt: Attempt, hint: PathHint): Promise<Outcome[]> {
    if (attempt.failedBefore) return this.#behindLock(attempt, hint);
    const bySnapshot = hint === 'snapshot' ? await this.#bySnapshot(attempt) : undefined;
    if (bySnapshot) return bySnapshot;
    const byStatement = hint === 'fast' || hint === 'snapshot' ? await this.#byStatement(attempt) : undefined;
    return byStatement ?? this.#behindLock(attempt, hint);
  }

  async #byStatement(attempt: Attempt): Promise<Outcome[] | undefined> {
    const rules = this.#events.rulesOf(attempt.eventId);
    if (!rules) return undefined;
    const outcomes = await this.#fastBatches.submit('fast', { attempt, rules });
    if (!outcomes) attempt.end(attempt.doubt);
    return outcomes;
  }

  /** The batches of events that wait for a connection share the next statement: group commit once more, over events. */
  #sellFast(attempts: readonly FastAttempt[]): Promise<(Outcome[] | undefined)[]> {
    const batches = attempts.map(({ attempt, rules }): FastBatch => {
      const { eventId } = attempt;
      return { eventId, rules, requests: attempt.begin(), expectsReplays: this.#events.expectsReplays(eventId) };
    });
    return this.#timed('fast', () => sellFast(this.#pool, batches));
  }

  async #bySnapshot(attempt: Attempt): Promise<Outcome[] | undefined> {
    const outcomes = await this.#snapshots(async () => {
      const requests = attempt.begin();
      return requests.length === 0 ? [] : this.#timed('snapshot', () => refuseBySnapshot(this.#pool, attempt.eventId, requests));
    });
    if (!outcomes) attempt.end(attempt.doubt);
    return outcomes;
  }

  async #behindLock(attempt: Attempt, hint: PathHint): Promise<Outcome[]> {
    const turn = hint === 'row held' ? this.#heldRows : this.#locked;
    const { outcomes, rules } = await turn(async (): Promise<LockedAnswer> => {
      const requests = attempt.begin();
      if (requests.length === 0) return { outcomes: [], rules: undefined };
      const fence = attempt.doubt === 'in doubt and unfenced';
      return this.#timed('locked', () => sellLocked(this.#pool, attempt.eventId, requests, fence));
    });
    if (rules) this.#events.learn(attempt.eventId, rules);
    return outcomes;
  }

  async #timed<T>(path: Path, work: () => Promise<T>): Promise<T> {
    const beganAtMs = performance.now();
    try {
      return await work();
    } finally {
      this.#observer.ended(path, performance.now() - beganAtMs);
    }
  }
}

/** A request that is too large for every event weighs no more than one that may be granted. */
export function weightOf({ quantity }: PurchaseRequest): number {
  return Math.min(quantity, largestPurchase);
}

function isReplay(outcome: Outcome): boolean {
  return outcome.kind === 'idempotency-key-reused' || (outcome.kind === 'sold' && outcome.replayed);
}

/** What the next batch of an event can suppose, after these outcomes of one. */
function hintFor(outcomes: readonly Outcome[]): PathHint {
  if (outcomes.every(({ kind }) => kind !== 'sold')) return 'snapshot';
  return outcomes.some(isShortage) ? 'locked' : 'fast';
}
