/**
 * The three ways of a batch to its answer. The next batch of an event will most likely go as the last one did: granted
 * whole, straight; sold out, refused together; at the end of a sale, in a storm of retries, after a fault and whenever it is
 * not known what became of an attempt, with care. That memory is only a hint: every way answers truly.
 *
 * Each way has connections of its own, so that a row that somebody else keeps locked holds up only what must wait for it.
 */
import type { Pool } from '../db/client.js';
import { classify } from '../db/faults.js';
import { GroupCommit } from './groupCommit.js';
import type { Outcome, PurchaseRequest } from './outcome.js';
import { refuseAll } from './refuseAll.js';
import { sellBatch } from './sellBatch.js';
import { sellStraight } from './sellStraight.js';

/** One event's batch on its way. Waits for a connection first, and much may have happened when it gets one. */
export interface Attempt {
  readonly eventId: string;
  readonly requests: readonly PurchaseRequest[];
  /** Now a transaction will carry it. @returns the requests for which it is not too late */
  begin(): readonly PurchaseRequest[];
  /** That transaction changed nothing, and never will. */
  undone(): void;
}

export interface PathLimits {
  /** Tickets of one statement, of all events in it. */
  readonly batchTicketsMax: number;
  /** Transactions in the database at once: the pool's connections. At least 4. */
  readonly connectionsMax: number;
}

/** The ways by their names. */
export type Path = 'straight' | 'careful' | 'refused together';

/** What the last batch of an event came to, where it was not granted whole. */
type Memory = 'careful' | 'held up' | 'sold out';

/** No request may make a batch heavier than the largest purchase that can be granted. */
export const largestPurchase = 1_000;
const lockNotAvailable = '55P03';
/** Events that share one statement: far more than can be told apart in its duration. */
const eventsMax = 500;
/** Events whose last batch is remembered; beyond it all are forgotten, which costs one attempt in vain for each. */
const memoriesMax = 10_000;

/**
 * @param onEnd told of every transaction, well ended or not: its way, and how long it was in the database
 * @returns what sells a batch: one outcome per request that `begin` returned last, in order
 */
export function createPaths(
  pool: Pool,
  limits: PathLimits,
  onEnd: (path: Path, tookMs: number) => void,
): (attempt: Attempt, withCare: boolean) => Promise<readonly Outcome[]> {
  const memories = new Memories();
  // One connection refuses, one waits for rows that others hold, and of the rest half is for care.
  const carefulMax = Math.max(1, Math.floor((limits.connectionsMax - 2) / 2));
  const straightMax = limits.connectionsMax - 2 - carefulMax;

  async function timed<T>(path: Path, work: () => Promise<T>): Promise<T> {
    const beganAtMs = performance.now();
    try {
      return await work();
    } finally {
      onEnd(path, performance.now() - beganAtMs);
    }
  }

  /** The primitive once more: the batches of events that wait for a connection share the next statement. */
  const straight = new GroupCommit<'straight', Attempt, Outcome[] | undefined>({
    run: (_key, attempts) => {
      const batches = attempts.map((attempt) => ({ eventId: attempt.eventId, requests: attempt.begin() }));
      return timed('straight', () => sellStraight(pool, batches));
    },
    weigh: ({ requests }) => requests.reduce((sum, { quantity }) => sum + quantity, 0),
    batchSizeMax: eventsMax,
    batchWeightMax: limits.batchTicketsMax,
    inFlightMax: straightMax,
    inFlightPerKeyMax: straightMax,
  });

  const [refusing, careful, heldUp] = [alone(1), alone(carefulMax), alone(1)];

  const sellAlone = (path: Path, lane: ReturnType<typeof alone>, by: typeof sellBatch | typeof refuseAll, attempt: Attempt) =>
    lane.submit(attempt.eventId, async () => {
      const requests = attempt.begin();
      return requests.length === 0 ? [] : timed(path, () => by(pool, attempt.eventId, requests));
    });

  const carefully = (attempt: Attempt) =>
    sellAlone('careful', memories.of(attempt.eventId) === 'held up' ? heldUp : careful, sellBatch, attempt);

  async function shortcut(attempt: Attempt): Promise<Outcome[] | undefined> {
    const memory = memories.of(attempt.eventId);
    if (memory === 'careful' || memory === 'held up' || attempt.requests.some(({ quantity }) => quantity > largestPurchase))
      return undefined;
    const outcomes = await (memory === 'sold out'
      ? sellAlone('refused together', refusing, refuseAll, attempt)
      : straight.submit('straight', attempt));
    if (!outcomes) attempt.undone();
    return outcomes;
  }

  return async (attempt, withCare) => {
    try {
      const outcomes = (withCare ? undefined : await shortcut(attempt)) ?? (await carefully(attempt)) ?? [];
      if (outcomes.length > 0) memories.remember(attempt.eventId, memoryOf(outcomes));
      return outcomes;
    } catch (fault) {
      // By itself from here on: whatever held this event up must not hold up those that shared a statement with it.
      memories.remember(attempt.eventId, classify(fault).sqlState === lockNotAvailable ? 'held up' : 'careful');
      throw fault;
    }
  };
}

/** One batch, one transaction, one connection, and so many of those at once. */
function alone(inFlightMax: number) {
  return new GroupCommit<string, () => Promise<Outcome[] | undefined>, Outcome[] | undefined>({
    run: async (_eventId, jobs) => Promise.all(jobs.map((job) => job())),
    batchSizeMax: 1,
    inFlightMax,
    inFlightPerKeyMax: 1,
  });
}

class Memories {
  readonly #byEvent = new Map<string, Memory>();

  of(eventId: string): Memory | undefined {
    return this.#byEvent.get(eventId);
  }

  remember(eventId: string, memory: Memory | undefined): void {
    if (memory === undefined) {
      this.#byEvent.delete(eventId);
      return;
    }
    if (this.#byEvent.size >= memoriesMax) this.#byEvent.clear();
    this.#byEvent.set(eventId, memory);
  }
}

function memoryOf(outcomes: readonly Outcome[]): Memory | undefined {
  if (outcomes.every((outcome) => outcome.kind === 'sold' && !outcome.replayed)) return undefined;
  return outcomes.some((outcome) => outcome.kind === 'sold-out') ? 'sold out' : 'careful';
}
