/**
 * The default database: a real Postgres from npm packages, started with the API and keeping its data between runs. This file has
 * the sequence of the start; the other files of the folder have its steps.
 */
import type { ChildProcess } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import { EmbeddedError, type Place, runAs, unprivilegedAccount } from './account.js';
import { locateBinaries } from './binaries.js';
import { orFullDisk } from './fullDisk.js';
import { initialise } from './initdb.js';
import { connect, inUse, keepInstanceLock, takeInstanceLock, urlOf } from './instanceLock.js';
import { openLog, type ServerLog } from './log.js';
import { isRunning, startChild, stopServer } from './process.js';
import { type SupervisorLog, Supervisor } from './supervise.js';
import { takeOver } from './takeOver.js';
import { keepSecret, makeDataDir, passwordFile } from './dataDir.js';

const databaseName = 'onsale';
/** Crash recovery of a full WAL takes seconds; a start that takes longer has failed. */
const startTimeoutMs = 60_000;
const retryEveryMs = 30;

export interface EmbeddedOptions {
  /** Unset: `.onsale` in the checkout, or for root a directory per checkout below /var/lib/onsale. */
  readonly dataDir?: string | undefined;
  /** Further Postgres settings, by name. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** Aborts the start at any moment: the processes started so far are ended, then the start rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface Embedded {
  /** The connection string of the database, with its password. */
  readonly url: string;
  /** The directory of the cluster, the log and the secrets. Only its owner and the account of Postgres can enter it. */
  readonly dataDir: string;
  /** From here on, restarts the server if it ends by itself or is killed, unless `stopping` is aborted. */
  keepRunning(log: SupervisorLog, stopping: AbortSignal): void;
  /** Stops the server without waiting for its sessions. */
  stop(): Promise<void>;
}

/** Starts the server; on the first run, creates the cluster and the database. @throws EmbeddedError, or the signal's reason */
export async function startEmbedded({ dataDir: chosen, settings = {}, signal }: EmbeddedOptions = {}): Promise<Embedded> {
  signal?.throwIfAborted();
  const account = process.getuid?.() === 0 ? unprivilegedAccount() : undefined;
  const dataDir = makeDataDir(chosen, account);
  try {
    return await startIn({ dataDir, account, binaries: locateBinaries(account) }, settings, signal);
  } catch (error) {
    signal?.throwIfAborted();
    throw orFullDisk(error, dataDir);
  }
}

async function startIn(
  place: Place,
  settings: NonNullable<EmbeddedOptions['settings']>,
  signal: AbortSignal | undefined,
): Promise<Embedded> {
  const { dataDir } = place;
  const password = keepSecret(dataDir, passwordFile);
  await initialise(place, password, signal);
  await takeOver(place, password, signal);

  const port = await freePort();
  const log = await openLog(dataDir);
  const server = launch(place, port, settings, log);
  const end = async () => {
    await stopServer(server);
    await log.close();
  };
  const interrupt = () => server.kill('SIGINT');
  signal?.addEventListener('abort', interrupt);
  try {
    signal?.throwIfAborted();
    const keeperUrl = urlOf(port, password, 'postgres');
    const keeper = await connectWhenReady(server, log, keeperUrl);
    if (!(await takeInstanceLock(keeper))) throw inUse(dataDir);
    const { rowCount } = await keeper.query('SELECT FROM pg_database WHERE datname = $1', [databaseName]);
    if (rowCount === 0) await keeper.query(`CREATE DATABASE ${databaseName}`);
    signal?.throwIfAborted();
    const release = keepInstanceLock(keeper, keeperUrl);
    let supervisor: Supervisor | undefined;
    return {
      url: urlOf(port, password, databaseName),
      dataDir,
      keepRunning: (supervisorLog, stopping) => {
        supervisor ??= new Supervisor(server, {
          launch: () => launch(place, port, settings, log),
          untilUp: (restarted) => untilUp(restarted, log, keeperUrl),
          lastLine: () => log.tail(),
          log: supervisorLog,
          stopping,
        });
      },
      stop: async () => {
        await Promise.all([release(), supervisor?.stop()]);
        await end();
      },
    };
  } catch (error) {
    await end();
    signal?.throwIfAborted(); // its reason is more useful than the failure that it caused
    throw error;
  } finally {
    signal?.removeEventListener('abort', interrupt);
  }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await new Promise((listening) => probe.once('listening', listening));
  const address = probe.address();
  await new Promise((closed) => probe.close(closed));
  if (address === null || typeof address === 'string') throw new EmbeddedError('No free port was found for Postgres.');
  return address.port;
}

/** Sized for one machine that also runs the API. Durability is Postgres's default: a commit is flushed to disk. */
const defaults = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: 100,
  shared_buffers: '256MB',
  max_wal_size: '4GB',
  checkpoint_timeout: '15min',
  jit: 'off',
  timezone: 'UTC',
  // Idempotency keys are secrets and must not be logged. A statement contains those of a whole batch, and the detail of a
  // violation, a deadlock or a crash may too. The message alone still names the constraint, and the API logs its own actions.
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
};

function launch({ binaries, dataDir, account }: Place, port: number, settings: NonNullable<EmbeddedOptions['settings']>, log: ServerLog) {
  const cluster = join(dataDir, 'cluster');
  const flags = Object.entries({ ...defaults, ...settings, port }).flatMap(([name, value]) => ['-c', `${name}=${String(value)}`]);
  return startChild(
    join(binaries, 'postgres'),
    ['-D', cluster, ...flags],
    { ...runAs(account), cwd: cluster, stdio: ['ignore', log.fd, log.fd] },
    (pid) => process.kill(pid, 'SIGQUIT'), // an immediate shutdown, because no process is left to wait for a checkpoint
  );
}

async function connectWhenReady(server: ChildProcess, log: ServerLog, url: string): Promise<pg.Client> {
  let failure: string | undefined;
  server.once('error', (error) => (failure = error.message));
  const deadline = Date.now() + startTimeoutMs;
  for (;;) {
    try {
      return await connect(url);
    } catch (error) {
      if (!isRunning(server)) throw new EmbeddedError(`Postgres did not start: ${failure ?? (await log.lastLine())} (see ${log.path}).`);
      if (Date.now() > deadline) throw new EmbeddedError(`Postgres did not answer in time: ${(error as Error).message}`);
    }
    await pause(retryEveryMs);
  }
}

/** Resolves when a restarted server accepts connections; the instance lock is taken again by its keeper. @returns why it ended instead */
async function untilUp(server: ChildProcess, log: ServerLog, url: string): Promise<string | undefined> {
  for (;;) {
    try {
      const client = await connectWhenReady(server, log, url);
      await client.end().catch(() => undefined);
      return undefined;
    } catch (error) {
      if (!isRunning(server)) return (error as Error).message;
    }
  }
}
