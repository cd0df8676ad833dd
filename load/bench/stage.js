// @ts-check
/** What the benchmark runs on: a Postgres and perhaps a Redis of its own, and the processes under test. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
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

/** @typedef {{ address: string, pid: number, stop: () => Promise<void> }} Program */

/**
 * @param {string[]} args of node, in the checkout
 * @param {Record<string, string>} env
 * @returns {Promise<Program>} when it listens
 */
async function startProgram(args, env) {
  const settings = { ...process.env, NODE_ENV: 'production', ...env };
  const child = spawn(process.execPath, args, { cwd: checkout, env: settings, stdio: ['ignore', 'pipe', 'inherit'] });
  process.once('exit', () => child.kill('SIGKILL')); // also when the benchmark fails
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

/** A Redis that has every command on disk before it answers. @param {string} dir @param {number} port */
async function startRedis(dir, port) {
  const options = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--dir',
    dir,
    '--save',
    '',
    '--appendonly',
    'yes',
    '--appendfsync',
    'always',
  ];
  const child = spawn('redis-server', options, { stdio: 'ignore' });
  process.once('exit', () => child.kill('SIGKILL'));
  await new Promise((resolve) => setTimeout(resolve, 500));
  return { url: `redis://127.0.0.1:${port}`, stop: () => child.kill('SIGTERM') };
}

/** The stage, set up. Ends everything that it started in `close`. */
export async function openStage() {
  const [dataDir, redisDir, idsDir] = await Promise.all(
    ['postgres', 'redis', 'ids'].map((name) => mkdtemp(join(tmpdir(), `onsale-bench-${name}-`))),
  );
  if (dataDir === undefined || redisDir === undefined || idsDir === undefined) throw new Error('no temporary directories');
  const embedded = await startEmbedded({ dataDir, settings: { shared_buffers: '1GB', max_wal_size: '8GB', max_connections: 200 } });
  await migrate(embedded.url);
  const sql = new pg.Pool({ connectionString: embedded.url, max: 2 });
  const books = await openBooks(sql);
  const redis = redisVersion() === undefined ? undefined : await startRedis(redisDir, 20_000 + (process.pid % 10_000));
  /** @type {Program[]} */
  const programs = [];

  /** @param {Promise<Program>} starting */
  const keep = async (starting) => {
    const program = await starting;
    programs.push(program);
    return program;
  };

  return {
    sql,
    books,
    hasRedis: redis !== undefined,
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
          REDIS_URL: redis?.url ?? '',
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
    close: async () => {
      await Promise.allSettled(programs.map((program) => program.stop()));
      redis?.stop();
      await sql.end();
      await embedded.stop();
      await Promise.all([dataDir, redisDir, idsDir].map((dir) => rm(dir, { recursive: true, force: true })));
    },
  };
}
