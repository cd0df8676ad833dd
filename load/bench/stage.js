// @ts-check
/** What the benchmark runs on: a Postgres and perhaps a Redis of its own, and the processes under test. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { heapFlags } from '../../deploy/replica.js';
import { startEmbedded } from '../../dist/db/embedded/embedded.js';
import { migrate } from '../../dist/db/migrate.js';
import { openBooks, writeLines } from './books.js';

const checkout = fileURLToPath(new URL('../..', import.meta.url));
/** Of the admin, and of the seller. */
export const token = 'the-token-of-the-benchmark';

/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set();
process.once('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** Also when this process fails. @param {import('node:child_process').ChildProcess} child */
function endWithUs(child) {
  running.add(child);
  child.once('exit', () => running.delete(child));
}

/** @typedef {{ address: string, pid: number, stop: () => Promise<void> }} Program */

/**
 * @param {string[]} args of node, in the checkout
 * @param {Record<string, string>} env
 * @returns {Promise<Program>} when it listens
 */
async function startProgram(args, env) {
  const settings = { ...process.env, NODE_ENV: 'production', ...env };
  const child = spawn(process.execPath, args, { cwd: checkout, env: settings, stdio: ['ignore', 'pipe', 'inherit'] });
  endWithUs(child);
  const address = await new Promise((resolve, reject) => {
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += String(chunk);
      const [found] = /http:\/\/[\w.]+:\d+/.exec(output) ?? [];
      if (found !== undefined) resolve(found);
    });
    child.once('exit', (code) => reject(new Error(`${args.join(' ')} ended with ${code}: ${output}`)));
  });
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await exited;
  };
  return { address, pid: child.pid ?? 0, stop };
}

/** @returns {string | undefined} the version of redis-server, where there is one */
export function redisVersion() {
  try {
    return /v=(\S+)/.exec(execFileSync('redis-server', ['--version']).toString())?.[1];
  } catch {
    return undefined;
  }
}

/**
 * A Redis that has every command on disk before it answers.
 *
 * @param {string} dir
 * @param {Closers} closers
 * @returns {Promise<string>} its URL, when it accepts connections
 */
async function startRedis(dir, closers) {
  const port = await freePort();
  const settings = { port, bind: '127.0.0.1', dir, save: '', appendonly: 'yes', appendfsync: 'always' };
  const options = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const child = spawn('redis-server', options, { stdio: 'ignore' });
  endWithUs(child);
  const ended = new Promise((resolve) => child.once('exit', resolve));
  closers.push(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  while (!(await accepts(port))) {
    if (child.exitCode !== null) throw new Error(`redis-server ended with ${child.exitCode} before it listened`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return `redis://127.0.0.1:${port}`;
}

/** @returns {Promise<number>} */
const freePort = () =>
  new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = /** @type {import('node:net').AddressInfo} */ (probe.address());
      probe.close(() => resolve(port));
    });
  });

/** @param {number} port @returns {Promise<boolean>} */
const accepts = (port) =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });

/** What ends what was started, in the order of starting. @typedef {(() => Promise<unknown>)[]} Closers */

/** In reverse; one that fails does not keep the others from running. @param {Closers} closers */
async function closeAll(closers) {
  const errors = /** @type {unknown[]} */ ([]);
  for (let close = closers.pop(); close; close = closers.pop()) await close().catch((error) => errors.push(error));
  if (errors.length > 0) throw new AggregateError(errors, `not everything was ended: ${errors.map(String).join('; ')}`);
}

/**
 * The stage, set up. `close` ends everything that was started; if the start fails or is aborted, the start does.
 *
 * @param {{ signal?: AbortSignal }} [options]
 */
export async function openStage({ signal } = {}) {
  /** @type {Closers} */
  const closers = [];
  try {
    return await setUp(closers, signal);
  } catch (error) {
    await closeAll(closers);
    throw error;
  }
}

/** @param {Closers} closers @param {AbortSignal | undefined} signal */
async function setUp(closers, signal) {
  const newDir = async (/** @type {string} */ name) => {
    const path = await mkdtemp(join(tmpdir(), `onsale-bench-${name}-`));
    closers.push(() => rm(path, { recursive: true, force: true }));
    return path;
  };
  const [dataDir, redisDir, idsDir] = [await newDir('postgres'), await newDir('redis'), await newDir('ids')];
  const settings = { shared_buffers: '1GB', max_wal_size: '8GB', max_connections: 200 };
  const embedded = await startEmbedded({ dataDir, settings, ...(signal && { signal }) });
  closers.push(() => embedded.stop());
  await migrate(embedded.url);
  const sql = new pg.Pool({ connectionString: embedded.url, max: 2 });
  closers.push(() => sql.end());
  const books = await openBooks(sql);
  const redisUrl = redisVersion() === undefined ? undefined : await startRedis(redisDir, closers);
  signal?.throwIfAborted();
  const programs = /** @type {Program[]} */ ([]);
  closers.push(() => Promise.all(programs.map((program) => program.stop())));

  /** @param {Promise<Program>} starting */
  const keep = async (starting) => {
    const program = await starting;
    programs.push(program);
    return program;
  };

  return {
    sql,
    books,
    hasRedis: redisUrl !== undefined,
    /** @param {Record<string, string>} [env] */
    onsale: (env = {}) =>
      keep(
        startProgram([...heapFlags, 'dist/server.js'], {
          DATABASE_URL: embedded.url,
          ADMIN_TOKEN: token,
          PORT: '0',
          HOST: '127.0.0.1',
          ...env,
        }),
      ),
    /** @param {string} name @param {Record<string, string>} [env] */
    contender: (name, env = {}) =>
      keep(
        startProgram([...heapFlags, 'load/bench/contender.js', name], {
          DATABASE_URL: embedded.url,
          REDIS_URL: redisUrl ?? '',
          ADMIN_TOKEN: token,
          ...env,
        }),
      ),
    /**
     * @param {string} address
     * @param {{ total_quota?: number, hold_seconds?: number, max_per_buyer?: number }} [rules]
     * @returns {Promise<string>} the id of a new event
     */
    makeEvent: async (address, rules) => {
      const answer = await fetch(`${address}/admin/events`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
        body: JSON.stringify({
          name: 'Benchmark',
          total_quota: 10_000_000,
          max_purchase_limit: rules?.total_quota === 1 ? 1 : 4,
          ...rules,
        }),
      });
      if (answer.status !== 201) throw new Error(`no event was made: ${await answer.text()}`);
      return /** @type {{ id: string }} */ (await answer.json()).id;
    },
    /** Ids for the generator. @param {string} name @param {string[]} ids @returns {Promise<string>} the path of the file */
    writeIds: async (name, ids) => {
      const path = join(idsDir, name);
      await writeLines(path, ids);
      return path;
    },
    close: () => closeAll(closers),
  };
}
