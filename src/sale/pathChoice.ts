/**
 * Chooses the path of a batch. The next batch of an event most likely goes like the last one: granted on the fast path, refused on
 * the snapshot path, or served on the locked path (at the end of a sale and after every fault). The remembered path is only a hint:
 * a path that cannot answer correctly passes the batch to another.
 *
 * Each path has its own connections, so that a row that another session keeps locked delays only the batches that need that row.
 */
import { Batcher } from '../concurrency/batcher.js';
import { semaphore, type Semaphore } from '../concurrency/semaphore.js';
import type { Pool } from '../db/client.js';
import { classify } from '../db/faults.js';
import type { Attempt, Path } from './attempt.js';
import { isShortage } from './decide.js';
import type { EventRegistry, PathHint } from './eventRegistry.js';
import { type FastBatch, sellFast } from './fastPath.js';
import { HeldCounts } from './heldCounts.js';
import { type LockedAnswer, sellLocked } from './lockedPath.js';
import { refuseBySnapshot } from './snapshotPath.js';
import { isPurchase } from './outcomes.js';
import type { EventRequest, Outcome, Rules, SaleRequest } from './types.js';

export interface PathLimits {
  /** Tickets in one statement, for all of its events together. */
  readonly batchTicketsMax: number;
  /** Concurrent transactions. At least 4. */
  readonly connectionsMax: number;
}

export interface PathObserver {
  /** A transaction has ended, successfully or not. @param tookMs its duration in the database */
  ended(path: Path, tookMs: number): void;
}

/** The largest purchase that can be granted. */
const largestPurchase = 1_000;
const lockNotAvailable = '55P03';
/** Events in one statement. Sharing it among more would save almost nothing per event. */
const eventsMax = 500;

interface FastAttempt {
  readonly attempt: Attempt<EventRequest>;
  readonly rules: Rules;
}

export class Paths {
  readonly #pool: Pool;
  readonly #events: EventRegistry;
  readonly #observer: PathObserver;
  readonly #fastBatches: Batcher<'fast', FastAttempt, Outcome[] | undefined>;
  readonly #heldCounts = new HeldCounts();
  readonly #snapshots = semaphore(1);
  readonly #locked: Semaphore;
  readonly #heldRows = semaphore(1);

  constructor(pool: Pool, events: EventRegistry, limits: PathLimits, observer: PathObserver) {
    this.#pool = pool;
    this.#events = events;
    this.#observer = observer;
    // One connection reads snapshots, one waits for rows that other sessions hold, and half of the rest serves the locked path.
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
  async serve(attempt: Attempt<EventRequest>): Promise<readonly Outcome[]> {
    const { eventId } = attempt;
    try {
      const outcomes = await this.#choose(attempt, this.#events.hintOf(eventId));
      if (outcomes.length > 0 && !attempt.expectsRefusals) this.#events.remember(eventId, hintFor(outcomes), outcomes.some(isReplay));
      return outcomes;
    } catch (fault) {
      // Not on the fast path next time, so that a problem with this event does not delay the events that shared its statement.
      this.#events.remember(eventId, classify(fault).sqlState === lockNotAvailable ? 'row held' : 'locked', false);
      throw fault;
    }
  }

  async #choose(attempt: Attempt<EventRequest>, hint: PathHint): Promise<Outcome[]> {
    const givesBack = attempt.batch.some(({ request }) => !isPurchase(request));
    if (attempt.failedBefore || givesBack) return this.#onLockedPath(attempt, hint);
    const refusals = hint === 'snapshot' || attempt.expectsRefusals ? await this.#onSnapshotPath(attempt) : undefined;
    if (refusals) return refusals;
    const mayBeFast = (hint === 'fast' || hint === 'snapshot') && !attempt.expectsRefusals;
    const outcomes = mayBeFast ? await this.#onFastPath(attempt) : undefined;
    return outcomes ?? this.#onLockedPath(attempt, hint);
  }

  async #onFastPath(attempt: Attempt<EventRequest>): Promise<Outcome[] | undefined> {
    const rules = this.#events.rulesOf(attempt.eventId);
    if (!rules) return undefined;
    const outcomes = await this.#fastBatches.submit('fast', { attempt, rules });
    if (!outcomes) attempt.end(attempt.doubt);
    return outcomes;
  }

  /** Batches of different events that wait for a connection share the next statement: group commit again, across events. */
  #sellFast(attempts: readonly FastAttempt[]): Promise<(Outcome[] | undefined)[]> {
    const batches = attempts.map(({ attempt, rules }): FastBatch => {
      const { eventId } = attempt;
      return { eventId, rules, requests: attempt.begin('fast'), expectsReplays: this.#events.expectsReplays(eventId) };
    });
    return this.#timed('fast', () => sellFast(this.#pool, batches));
  }

  async #onSnapshotPath(attempt: Attempt<EventRequest>): Promise<Outcome[] | undefined> {
    const { eventId } = attempt;
    const outcomes = await this.#snapshots(async () => {
      const requests = attempt.begin('snapshot');
      if (requests.length === 0) return [];
      const rules = this.#events.rulesOf(eventId);
      return this.#timed('snapshot', () => refuseBySnapshot(this.#pool, eventId, requests, rules, this.#heldCounts));
    });
    if (!outcomes) attempt.end(attempt.doubt);
    return outcomes;
  }

  async #onLockedPath(attempt: Attempt<EventRequest>, hint: PathHint): Promise<Outcome[]> {
    const inTurn = hint === 'row held' ? this.#heldRows : this.#locked;
    const { outcomes, rules } = await inTurn(async (): Promise<LockedAnswer> => {
      const requests = attempt.begin('locked');
      if (requests.length === 0) return { outcomes: [], rules: undefined };
      const fence = attempt.doubt === 'in doubt and unfenced';
      return this.#timed('locked', () => sellLocked(this.#pool, attempt.eventId, requests, fence, this.#heldCounts));
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

/** A request beyond every possible limit is refused, so it weighs no more than the largest one that can be granted. */
export function weightOf(request: SaleRequest): number {
  return request.kind === 'buy' ? Math.min(request.quantity, largestPurchase) : 1;
}

function isReplay(outcome: Outcome): boolean {
  return outcome.kind === 'idempotency-key-reused' || (outcome.kind === 'granted' && outcome.replayed);
}

/** The path hint for the next batch of an event, from the outcomes of the last one. */
function hintFor(outcomes: readonly Outcome[]): PathHint {
  if (outcomes.some(({ kind }) => kind === 'settled')) return 'fast'; // which may have given tickets back
  if (outcomes.every(({ kind }) => kind !== 'granted')) return 'snapshot';
  return outcomes.some((outcome) => isShortage(outcome) || outcome.kind === 'buyer-limit-exceeded') ? 'locked' : 'fast';
}
