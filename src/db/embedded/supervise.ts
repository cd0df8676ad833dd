/**
 * Restarts the embedded Postgres when it ends by itself or is killed. It gets the same port, so that the pools find it again, and it
 * recovers by itself: whatever was committed is on disk.
 *
 * The backends of a killed server may outlive it for a moment. Postgres does not start while one of them is attached to the shared
 * memory of the data directory, so such a start fails and is repeated.
 */
import type { ChildProcess } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { isRunning, stopServer } from './process.js';

export interface SupervisorLog {
  info(details: object, message: string): void;
  error(details: object, message: string): void;
}

export interface Supervised {
  /** Starts the server again. */
  readonly launch: () => ChildProcess;
  /** Resolves to undefined when the server accepts connections; if it ended before, to the reason. */
  readonly untilUp: (server: ChildProcess) => Promise<string | undefined>;
  /** The last line of the server's log. */
  readonly lastLine: () => Promise<string>;
  readonly log: SupervisorLog;
  /** While it is aborted, no end of the server is reported, and no restart begins. */
  readonly stopping: AbortSignal;
  /** A clock in milliseconds. */
  readonly nowMs?: () => number;
  /** Waits, unless the signal is aborted. */
  readonly rest?: (ms: number, stopping: AbortSignal) => Promise<unknown>;
}

/** The pause before a restart doubles from the first to the longest, and is the first again after a server has run for a while. */
const [firstPauseMs, longestPauseMs, steadyAfterMs] = [100, 10_000, 60_000];

const restOrStop = (ms: number, signal: AbortSignal) => pause(ms, undefined, { ref: false, signal }).catch(() => undefined);

export class Supervisor {
  readonly #given: Supervised;
  readonly #nowMs: () => number;
  readonly #rest: NonNullable<Supervised['rest']>;
  readonly #stopped = new AbortController();
  readonly #stopping: AbortSignal;
  readonly #ended: Promise<void>;
  #server: ChildProcess;
  #pauseMs = firstPauseMs;

  /** @param server that runs already */
  constructor(server: ChildProcess, given: Supervised) {
    this.#server = server;
    this.#given = given;
    this.#nowMs = given.nowMs ?? (() => performance.now());
    this.#rest = given.rest ?? restOrStop;
    this.#stopping = AbortSignal.any([given.stopping, this.#stopped.signal]);
    this.#ended = this.#run();
  }

  /** Stops the server that runs, if one does. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await stopServer(this.#server);
    await this.#ended;
  }

  #isStopping(): boolean {
    return this.#stopping.aborted;
  }

  async #run(): Promise<void> {
    const { log, lastLine } = this.#given;
    for (;;) {
      const upAtMs = this.#nowMs();
      await ended(this.#server);
      if (this.#isStopping()) return;
      const diedAtMs = this.#nowMs();
      if (diedAtMs - upAtMs > steadyAfterMs) this.#pauseMs = firstPauseMs;
      const { exitCode, signalCode } = this.#server;
      const how = { exit_code: exitCode ?? undefined, signal: signalCode ?? undefined, last_line: await lastLine().catch(String) };
      log.error(how, 'the embedded Postgres ended; it is restarted');
      const attempts = await this.#restart();
      if (attempts === undefined) return;
      log.info({ away_ms: Math.round(this.#nowMs() - diedAtMs), attempts }, 'the embedded Postgres is running again');
    }
  }

  /** @returns the number of attempts; undefined if it was asked to stop meanwhile */
  async #restart(): Promise<number | undefined> {
    let reported: string | undefined;
    for (let attempts = 1; ; attempts += 1) {
      await this.#rest(this.#pauseMs, this.#stopping);
      if (this.#isStopping()) return undefined;
      this.#pauseMs = Math.min(this.#pauseMs * 2, longestPauseMs);
      this.#server = this.#given.launch();
      const reason = await this.#given.untilUp(this.#server);
      if (this.#isStopping()) return undefined;
      if (reason === undefined) return attempts;
      if (essenceOf(reason) !== reported)
        this.#given.log.error({ reason }, 'the embedded Postgres could not be restarted; it is tried again');
      reported = essenceOf(reason);
    }
  }
}

async function ended(server: ChildProcess): Promise<void> {
  if (!isRunning(server)) return;
  await new Promise<void>((resolve) => {
    server.once('exit', () => {
      resolve();
    });
  });
}

/** Without times and process ids, so that a cause that stays is reported once. */
function essenceOf(reason: string): string {
  return reason.replaceAll(/\d+/g, '');
}
