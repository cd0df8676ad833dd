/**
 * The default database: a real Postgres from npm packages, started beside the API and keeping its data between runs.
 *
 * Whoever uses a data directory holds an advisory lock in its database. A second instance finds the lock taken; after a
 * crash of the API, whose Postgres goes on running, the next start finds it free and takes the data over.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chownSync, closeSync, existsSync, openSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import {
  type Account,
  EmbeddedError,
  keepSecret,
  locateBinaries,
  makeDataDir,
  passwordFile,
  unprivilegedAccount,
} from './embeddedFiles.js';

const databaseName = 'onsale';
const superuser = 'onsale';
/** Any constant: the lock of the one who uses the data. */
const instanceLock = 7_245_502;
/** Crash recovery of a full WAL takes seconds; a start that takes longer has failed. */
const startTimeoutMs = 60_000;
const stopTimeoutMs = 30_000;
const relockEveryMs = 100;

export interface EmbeddedOptions {
  /** Unset: `.onsale` in the checkout, or for root a directory of that checkout's own below /var/lib/onsale. Kept for us alone. */
  readonly dataDir?: string | undefined;
  /** More settings of Postgres, by name. */
  readonly settings?: Readonly<Record<string, string | number>>;
}

export interface Embedded {
  /** The connection string of the database, with its password. */
  readonly url: string;
  /** Where everything of this instance is: cluster, log, secrets. Readable by its owner alone. */
  readonly dataDir: string;
  /** Ends the server, which waits for nobody. */
  stop(): Promise<void>;
}

/** Starts the server, makes the cluster and the database on the first run. @throws EmbeddedError */
export async function startEmbedded(options: EmbeddedOptions = {}): Promise<Embedded> {
  const account = process.getuid?.() === 0 ? unprivilegedAccount() : undefined;
  const dataDir = makeDataDir(options.dataDir, account);
  const binaries = locateBinaries(account);
  const cluster = join(dataDir, 'cluster');
  const password = keepSecret(dataDir, passwordFile);
  if (!existsSync(join(cluster, 'PG_VERSION'))) initialise(binaries, dataDir, account);
  await takeOver(cluster, password);

  const port = await freePort();
  const server = launch(join(binaries, 'postgres'), cluster, port, options.settings ?? {}, account);
  try {
    const keeperUrl = urlOf(port, password, 'postgres');
    const keeper = await connectWhenReady(server, join(dataDir, 'postgres.log'), keeperUrl);
    if (!(await takeInstanceLock(keeper))) throw inUse(cluster);
    const { rowCount } = await keeper.query('SELECT FROM pg_database WHERE datname = $1', [databaseName]);
    if (rowCount === 0) await keeper.query(`CREATE DATABASE ${databaseName}`);
    const release = keep(keeper, keeperUrl);
    return { url: urlOf(port, password, databaseName), dataDir, stop: () => stop(server, release) };
  } catch (error) {
    server.kill('SIGINT');
    throw error;
  }
}

/** Makes the cluster beside its place and moves it there when it is whole, so that a crash leaves none half-made. */
function initialise(binaries: string, dataDir: string, account: Account | undefined): void {
  const unfinished = join(dataDir, `cluster.${String(process.pid)}`);
  const password = join(dataDir, passwordFile);
  if (account) chownSync(password, account.uid, account.gid);
  const options = ['--encoding=UTF8', '--locale=C', '--auth=scram-sha-256', `--username=${superuser}`, `--pwfile=${password}`];
  const run = spawnSync(join(binaries, 'initdb'), ['--pgdata', unfinished, ...options], { ...account, cwd: dataDir, encoding: 'utf8' });
  if (run.status !== 0) {
    rmSync(unfinished, { recursive: true, force: true });
    throw new EmbeddedError(`initdb failed: ${(run.error?.message ?? run.stderr).trim()}`);
  }
  renameSync(unfinished, join(dataDir, 'cluster'));
}

/** Ends a server that outlived the API that started it; a lock that is still held means that its API lives. */
async function takeOver(cluster: string, password: string): Promise<void> {
  const pidFile = join(cluster, 'postmaster.pid');
  if (!existsSync(pidFile)) return;
  const [pid, , , port] = readFileSync(pidFile, 'utf8').split('\n');
  const client = new pg.Client({ connectionString: urlOf(Number(port), password, 'postgres'), connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
  } catch {
    return; // no server behind the file: Postgres itself sees to what a crash left
  }
  const orphaned = await takeInstanceLock(client);
  await client.end();
  if (!orphaned) throw inUse(cluster);
  process.kill(Number(pid), 'SIGINT');
  const deadline = Date.now() + stopTimeoutMs;
  while (existsSync(pidFile)) {
    if (Date.now() > deadline) throw new EmbeddedError(`Postgres (process ${String(pid)}) was left by a crash and does not stop.`);
    await pause(20);
  }
}

/**
 * When one of its processes is killed, Postgres ends all sessions and starts afresh, by itself; then the lock is taken again.
 *
 * @param keeper has the lock
 * @returns what lets it go
 */
function keep(keeper: pg.Client, url: string): () => Promise<void> {
  let current = keeper;
  let released = false;
  const again = async () => {
    while (!released) {
      await pause(relockEveryMs);
      const client = await connect(url).catch(() => undefined);
      if (client) {
        watch(client);
        await takeInstanceLock(client).catch(() => undefined);
        return;
      }
    }
  };
  const watch = (client: pg.Client) => {
    current = client;
    client.once('end', () => void again());
  };
  watch(keeper);
  return async () => {
    released = true;
    await current.end().catch(() => undefined);
  };
}

function inUse(cluster: string): EmbeddedError {
  return new EmbeddedError(
    `Another onsale is running on ${dirname(cluster)}; stop it, or choose another directory with EMBEDDED_DATA_DIR.`,
  );
}

async function takeInstanceLock(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ taken: boolean }>('SELECT pg_try_advisory_lock($1) AS taken', [instanceLock]);
  return rows[0]?.taken === true;
}

function urlOf(port: number, password: string, database: string): string {
  return `postgresql://${superuser}:${password}@127.0.0.1:${String(port)}/${database}`;
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await new Promise((listening) => probe.once('listening', listening));
  const address = probe.address();
  await new Promise((closed) => probe.close(closed));
  if (address === null || typeof address === 'string') throw new EmbeddedError('No free port was found for Postgres.');
  return address.port;
}

/** Sized for one machine that also runs the API. Durability is Postgres's default: a commit is on disk. */
const defaults = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: 100,
  shared_buffers: '256MB',
  max_wal_size: '4GB',
  checkpoint_timeout: '15min',
  jit: 'off',
  timezone: 'UTC',
};

/** A process group of its own: a Ctrl-C in the terminal reaches the API alone, which drains before it stops Postgres. */
function launch(
  binary: string,
  cluster: string,
  port: number,
  settings: Readonly<Record<string, string | number>>,
  account: Account | undefined,
): ChildProcess {
  const flags = Object.entries({ ...defaults, ...settings, port }).flatMap(([name, value]) => ['-c', `${name}=${String(value)}`]);
  const log = openSync(join(dirname(cluster), 'postgres.log'), 'a', 0o600);
  const server = spawn(binary, ['-D', cluster, ...flags], { ...account, cwd: cluster, detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  return server;
}

async function connectWhenReady(server: ChildProcess, logFile: string, url: string): Promise<pg.Client> {
  let failure: string | undefined;
  server.once('error', (error) => (failure = error.message));
  server.once('exit', () => (failure ??= lastLine(logFile)));
  const deadline = Date.now() + startTimeoutMs;
  for (;;) {
    try {
      return await connect(url);
    } catch (error) {
      if (failure !== undefined) throw new EmbeddedError(`Postgres did not start: ${failure} (see ${logFile}).`);
      if (Date.now() > deadline) throw new EmbeddedError(`Postgres did not answer in time: ${(error as Error).message}`);
    }
    await pause(30);
  }
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: 'onsale keeper', connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined); // the server went away; whoever uses the database notices by himself
  await client.connect();
  return client;
}

function lastLine(file: string): string {
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  return lines.findLast((line) => /FATAL|PANIC/.test(line)) ?? lines.at(-1) ?? 'it said nothing';
}

async function stop(server: ChildProcess, release: () => Promise<void>): Promise<void> {
  await release();
  if (server.exitCode !== null || server.signalCode !== null) return;
  const exited = new Promise((resolved) => server.once('exit', resolved));
  server.kill('SIGINT'); // "fast": ends sessions, keeps every commit
  const timer = setTimeout(() => server.kill('SIGQUIT'), stopTimeoutMs);
  await exited;
  clearTimeout(timer);
}
