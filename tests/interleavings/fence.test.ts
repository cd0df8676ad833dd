/**
 * Goal: no answer holds what was read from a server that may have been replaced; and to find that out costs next to nothing.
 * Method: a Postgres of this file's own that loses its synchronous standby, which is all that a primary sees of being replaced.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { v7 as uuidv7 } from 'uuid';
import { ConnectionGroup, type Pool, type PoolLimits } from '../../src/db/client.js';
import { type Embedded, startEmbedded } from '../../src/db/embedded/embedded.js';
import { classify } from '../../src/db/faults.js';
import { migrate } from '../../src/db/migrate.js';
import { createReadiness } from '../../src/db/readiness.js';
import { readEvents } from '../../src/sql/readEvents.js';
import { readPurchase } from '../../src/sql/readPurchase.js';
import { openTestPool } from '../support/pool.js';
import { attemptFast, expectConserved, newEvent, request } from '../support/sales.js';
import { openSession } from './sessions.js';

let server: Embedded;
let watcher: pg.Pool;
let url: string;
const pools: Pool[] = [];

const always = 1;
const hardlyEver = 3_600_000;

beforeAll(async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'onsale-fence-'));
  server = await startEmbedded({ dataDir, settings: { fsync: 'off', synchronous_commit: 'local', autovacuum: 'off' } });
  await migrate(server.url);
  watcher = new pg.Pool({ connectionString: server.url });
  url = `${server.url}?options=-c%20synchronous_commit%3Don`;
});
afterEach(async () => {
  await findStandby();
  await Promise.all(pools.splice(0).map((pool) => pool.close()));
});
afterAll(async () => {
  await watcher.end();
  await server.stop();
  await rm(server.dataDir, { recursive: true });
});

/** A pool whose commits wait for the standby, but not for long. */
function open(limits: Partial<PoolLimits>, group?: ConnectionGroup, as = url): Pool {
  const pool = openTestPool(as, { connectionsMax: 1, lockTimeoutMs: 200, clientDeadlineMs: 600, ...limits }, group);
  pools.push(pool);
  return pool;
}

async function setStandby(names: 'nobody' | ''): Promise<void> {
  await watcher.query(`ALTER SYSTEM SET synchronous_standby_names = '${names}'`);
  await watcher.query('SELECT pg_reload_conf()');
}

/** Resolves when a commit has been seen to wait. */
async function loseStandby(): Promise<void> {
  await setStandby('nobody');
  for (let waits = false; !waits;) {
    const session = await openSession(url);
    const passed = new Set<string>();
    const message = session.query(`SELECT pg_logical_emit_message(true, 'test', '')`).then(
      () => passed.add('passed'),
      () => undefined,
    );
    while (passed.size === 0 && !waits) {
      const { rowCount } = await watcher.query(
        `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'SyncRep'`,
        [session.pid],
      );
      waits = rowCount === 1;
    }
    await message;
    await session.end();
  }
}

const findStandby = () => setStandby('');

async function waitingForStandby(): Promise<number> {
  const { rows } = await watcher.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'onsale under test'`,
  );
  return rows[0]!.count;
}

const one = ({ prisma }: Pool) => prisma.$queryRaw`SELECT 1 AS one`;
const faultOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'answered',
    (error: unknown) => classify(error).name,
  );

test('an answer is given while the last fence is recent; when it is not, it is refused, and the whole group leaves the server', async () => {
  const group = new ConnectionGroup();
  const [fenced, trusting] = [open({ readFenceMs: always }, group), open({ readFenceMs: hardlyEver }, group)];
  await Promise.all([one(fenced), one(trusting)]);
  await loseStandby();
  await expect(one(trusting)).resolves.toEqual([{ one: 1 }]);
  expect(await faultOf(one(fenced))).toBe('ClientDeadlineFault');
  // On a connection that no fence has been over yet.
  expect(await faultOf(one(trusting))).not.toBe('answered');
  await findStandby();
  await expect(one(trusting)).resolves.toEqual([{ one: 1 }]);
  await expect(one(fenced)).resolves.toEqual([{ one: 1 }]);
});

test('what is there is reported within the bound, what is not there only by a server that proves itself', async () => {
  const pool = open({ readFenceMs: hardlyEver });
  const eventId = await newEvent(pool, 10);
  const [bought, nobodys] = [request(2), uuidv7()];
  await attemptFast(pool, eventId, [bought]);
  await expect(readPurchase(pool.prisma, eventId, nobodys)).resolves.toBeUndefined();
  await expect(readEvents(pool.prisma, [eventId, nobodys])).resolves.toMatchObject([{ id: eventId, available: 8 }]);
  await expect(readEvents(pool.prisma, [])).resolves.toEqual([]);

  await loseStandby();
  await expect(readPurchase(pool.prisma, eventId, bought.purchaseId)).resolves.toMatchObject({ quantity: 2 });
  await expect(readEvents(pool.prisma, [eventId])).resolves.toMatchObject([{ id: eventId, available: 8 }]);
  expect(await faultOf(readPurchase(pool.prisma, eventId, nobodys))).not.toBe('answered');
  expect(await faultOf(readEvents(pool.prisma, [eventId, nobodys]))).not.toBe('answered');

  await findStandby();
  await expect(readPurchase(pool.prisma, eventId, nobodys)).resolves.toBeUndefined();
  await expectConserved(pool, eventId, 2);
});

test('however many ask while the standby is away, one backend waits for it; the others fail at the lock timeout', async () => {
  const some = [1, 2, 3].map(() => open({ readFenceMs: always }));
  const eventId = uuidv7();
  await loseStandby();
  const faults = new Set<string>();
  for (let round = 0; round < 4; round += 1) {
    const asked = some.flatMap((pool) => [one(pool), readPurchase(pool.prisma, eventId, eventId), readEvents(pool.prisma, [eventId])]);
    for (const fault of await Promise.all(asked.map(faultOf))) faults.add(fault);
    expect(await waitingForStandby()).toBe(1);
  }
  expect([...faults].sort()).toEqual(['ClientDeadlineFault', 'lock_not_available']);
});

test('a replica is not ready while its server does not prove itself, and says so before the deadline of a query', async () => {
  const pool = open({ readFenceMs: always, clientDeadlineMs: 20_000 });
  const readiness = createReadiness(pool);
  while (!(await readiness.check()).ready);
  await loseStandby();
  let state = await readiness.check();
  while (state.ready) state = await readiness.check();
  expect(state).toEqual({ ready: false, reason: 'The database does not answer in time.' });
  await findStandby();
  while (!(await readiness.check()).ready);
});

test('an idle connection sends nothing, and a busy one a single fence within the bound', async () => {
  const pool = open({ readFenceMs: hardlyEver });
  const nextXid = async () => (await watcher.query<{ xid: string }>('SELECT pg_snapshot_xmax(pg_current_snapshot()) AS xid')).rows[0]!.xid;
  const before = Number(await nextXid());
  for (let query = 0; query < 50; query += 1) await one(pool);
  expect(Number(await nextXid())).toBe(before + 1);
  await pool.prisma.$transaction([pool.prisma.$queryRaw`SELECT 1 AS one`, pool.prisma.$queryRaw`SELECT 2 AS two`]);
  expect(Number(await nextXid())).toBe(before + 1);
});

/** A role that may do what a sale needs, and no more. */
async function withPlainRole(work: (roleUrl: string) => Promise<void>): Promise<void> {
  await watcher.query(
    `CREATE ROLE plain LOGIN PASSWORD 'plain'; GRANT SELECT, INSERT, UPDATE ON events, purchases, tickets, _prisma_migrations TO plain`,
  );
  const roleUrl = new URL(server.url);
  [roleUrl.username, roleUrl.password] = ['plain', 'plain'];
  try {
    await work(roleUrl.href);
  } finally {
    await Promise.all(pools.splice(0).map((pool) => pool.close()));
    await watcher.query(`DROP OWNED BY plain; DROP ROLE plain`);
  }
}

test('a fence needs no privilege; a server that forbids it is not sold from, and a sale that it may have made is not called undone', async () => {
  await withPlainRole(async (roleUrl) => {
    const owner = open({});
    const eventId = await newEvent(owner, 10);
    const pool = open({ readFenceMs: always }, undefined, roleUrl);
    const readiness = createReadiness(pool);
    while (!(await readiness.check()).ready);
    await expect(attemptFast(pool, eventId, [request(1)])).resolves.toMatchObject([{ kind: 'granted' }]);
    await watcher.query('REVOKE EXECUTE ON FUNCTION pg_logical_emit_message(boolean, text, text, boolean) FROM PUBLIC');
    try {
      await expect(attemptFast(pool, eventId, [request(1)])).rejects.toMatchObject({ doubt: 'in doubt and unfenced' });
      let state = await readiness.check();
      while (state.ready) state = await readiness.check();
      expect(state.reason).toMatch('permission denied for function pg_logical_emit_message');
      expect(readiness.schemaKnown()).toBe(false);
    } finally {
      await watcher.query('GRANT EXECUTE ON FUNCTION pg_logical_emit_message(boolean, text, text, boolean) TO PUBLIC');
    }
    await expectConserved(owner, eventId, 2); // the second sale did happen
  });
});
