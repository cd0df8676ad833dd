// @ts-check
/** What the benchmark runs on: a Postgres and perhaps a Redis of its own, the processes under test, and the audit. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { heapFlags } from '../../deploy/replica.js';
import { startEmbedded } from '../../dist/db/embedded/embedded.js';
import { migrate } from '../../dist/db/migrate.js';

const checkout = fileURLToPath(new URL('../..', import.meta.url));
const adminToken = 'the token of the benchmark';
const token = adminToken.replaceAll(' ', '-');

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
  const [dataDir, redisDir] = await Promise.all(['postgres', 'redis'].map((name) => mkdtemp(join(tmpdir(), `onsale-bench-${name}-`))));
  if (dataDir === undefined || redisDir === undefined) throw new Error('no temporary directories');
  const embedded = await startEmbedded({ dataDir, settings: { shared_buffers: '1GB', max_wal_size: '8GB' } });
  await migrate(embedded.url);
  const sql = new pg.Pool({ connectionString: embedded.url, max: 2 });
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
    /** @param {string} name */
    contender: (name) =>
      keep(
        startProgram([...heapFlags, 'load/bench/contender.js', name], {
          DATABASE_URL: embedded.url,
          REDIS_URL: redis?.url ?? '',
        }),
      ),
    /** @returns {Promise<string>} the id of a new event @param {string} address @param {number} [totalQuota] */
    makeEvent: async (address, totalQuota = 10_000_000) => {
      const answer = await fetch(`${address}/admin/events`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
        body: JSON.stringify({ name: 'Benchmark', total_quota: totalQuota, max_purchase_limit: 4 }),
      });
      if (answer.status !== 201) throw new Error(`no event was made: ${await answer.text()}`);
      return /** @type {{ id: string }} */ (await answer.json()).id;
    },
    /** The conservation query: a run that broke it is void. @param {string[]} eventIds @returns {Promise<number>} tickets sold */
    audit: async (eventIds) => {
      const { rows } = await sql.query(
        `SELECT e.id, e.available, e.total_quota, coalesce(p.sold, 0)::int AS sold, coalesce(t.issued, 0)::int AS issued
           FROM events e
           LEFT JOIN (SELECT event_id, sum(quantity) AS sold FROM purchases WHERE event_id = ANY ($1) GROUP BY 1) p ON p.event_id = e.id
           LEFT JOIN (SELECT event_id, count(*) AS issued FROM tickets WHERE event_id = ANY ($1) GROUP BY 1) t ON t.event_id = e.id
          WHERE e.id = ANY ($1)`,
        [eventIds],
      );
      const broken = rows.filter((row) => row.available < 0 || row.available + row.sold !== row.total_quota || row.sold !== row.issued);
      if (rows.length !== eventIds.length || broken.length > 0) throw new Error(`not conserved: ${JSON.stringify(broken)}`);
      return rows.reduce((sum, row) => sum + row.sold, 0);
    },
    /** An event that has sold this many tickets, four a purchase. @param {number} tickets */
    makeOldEvent: async (tickets) => {
      const client = await sql.connect();
      try {
        const { rows } = await client.query(
          `INSERT INTO events (id, name, total_quota, available, max_purchase_limit)
           VALUES (uuidv7(), 'Benchmark, half sold', 10000000, 10000000 - $1, 4) RETURNING id`,
          [tickets],
        );
        const eventId = rows[0].id;
        await client.query(
          `WITH bought AS (
             INSERT INTO purchases (event_id, id, quantity, idempotency_key, request_fingerprint, created_at)
             SELECT $1, uuidv7(), 4, 'an old purchase ' || n, '{"quantity":4}', now() FROM generate_series(1, $2::int / 4) n
             RETURNING id)
           INSERT INTO tickets (event_id, id, purchase_id) SELECT $1, uuidv7(), id FROM bought, generate_series(1, 4)`,
          [eventId, tickets],
        );
        return /** @type {string} */ (eventId);
      } finally {
        await client.query('VACUUM (ANALYZE) events, purchases, tickets');
        client.release();
      }
    },
    close: async () => {
      await Promise.allSettled(programs.map((program) => program.stop()));
      redis?.stop();
      await sql.end();
      await embedded.stop();
      await Promise.all([dataDir, redisDir].map((dir) => rm(dir, { recursive: true, force: true })));
    },
  };
}
