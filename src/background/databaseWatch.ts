/**
 * Reports in the log when a replica that was ready loses its database, and when it regains it. The database counts as lost when it does
 * not answer, is read-only (its primary is elsewhere), or lacks a part of the schema: whenever the replica is not ready.
 */
import type { Readiness } from '../db/readiness.js';
import { type Loop, startLoop } from './loop.js';

interface Log {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
}

const intervalMs = 1_000;
/** Reasons that the line about the return names: a failover usually has two or three. */
const reasonsMax = 5;

/** One line per loss and one per return. @param nowMs a clock in milliseconds */
export class DatabaseWatch {
  readonly #readiness: Pick<Readiness, 'check'>;
  readonly #log: Log;
  readonly #nowMs: () => number;
  #lost: { readonly atMs: number; readonly reasons: Set<string> } | undefined;

  constructor(readiness: Pick<Readiness, 'check'>, log: Log, nowMs = () => performance.now()) {
    this.#readiness = readiness;
    this.#log = log;
    this.#nowMs = nowMs;
  }

  /** @param stopping the replica that stops reports itself as not ready, which is not a loss */
  async checkOnce(stopping: AbortSignal): Promise<void> {
    const state = await this.#readiness.check();
    if (stopping.aborted) return;
    if (state.ready) this.#regained();
    else this.#isLost(state.reason);
  }

  #isLost(reason: string): void {
    if (this.#lost) {
      if (this.#lost.reasons.size < reasonsMax) this.#lost.reasons.add(reason);
      return;
    }
    this.#lost = { atMs: this.#nowMs(), reasons: new Set([reason]) };
    this.#log.warn({ reason }, 'the database was lost: this replica is not ready');
  }

  #regained(): void {
    if (!this.#lost) return;
    const { atMs, reasons } = this.#lost;
    this.#lost = undefined;
    this.#log.info({ away_ms: Math.round(this.#nowMs() - atMs), reasons: [...reasons] }, 'the database is back: this replica is ready');
  }
}

/** Call it when the replica is ready. @param stopping ends the watch */
export function watchDatabase(readiness: Pick<Readiness, 'check'>, log: Log, stopping: AbortSignal): Loop {
  const watch = new DatabaseWatch(readiness, log);
  const loop = startLoop({
    intervalMs,
    runOnce: async () => {
      await watch.checkOnce(stopping);
      return false;
    },
    onFault: (error) => {
      log.warn({ err: error }, 'the check of the database failed, which is a bug in this service');
    },
  });
  const stop = () => void loop.stop();
  if (stopping.aborted) stop();
  else stopping.addEventListener('abort', stop, { once: true });
  return loop;
}
