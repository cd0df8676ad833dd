/**
 * Goal: a session lives as long as it is of use, and no longer: refusals do not cost it, lost servers and old age do.
 * Method: sessions are counted on the server, by the numbers of their backends.
 */
import { expect, test } from '@jest/globals';
import { ConnectionGroup, type Pool } from '../../src/db/client.js';
import { classify } from '../../src/db/faults.js';
import { Prisma } from '../../src/generated/prisma/client.js';
import { useDatabase } from '../support/database.js';
import { attemptFast, expectConserved, newEvent, request } from '../support/sales.js';

const database = useDatabase();

async function pidOf({ prisma }: Pool): Promise<number> {
  const [row] = await prisma.$queryRaw<{ pid: number }[]>`SELECT pg_backend_pid() AS pid`;
  return row!.pid;
}

/** The backends of the pools under test. */
async function backends(): Promise<number[]> {
  const { rows } = await database.sql.query<{ pid: number }>(
    `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'onsale under test' ORDER BY pid`,
  );
  return rows.map(({ pid }) => pid);
}

/** Opens every connection that the pool may have. */
async function fill({ prisma, connectionsMax }: Pool): Promise<void> {
  await Promise.all(Array.from({ length: connectionsMax }, () => prisma.$queryRaw`SELECT pg_sleep(0.05)::text`));
}

test('hundreds of replays, each a unique violation, open no connection', async () => {
  // Three hundred wait for a few connections: on a busy machine longer than the default limits allow.
  const pool = database.openPool({ connectTimeoutMs: 20_000, clientDeadlineMs: 20_000 });
  const eventId = await newEvent(pool, 10);
  await fill(pool);
  const before = await backends();
  expect(before).toHaveLength(pool.connectionsMax);
  await attemptFast(pool, eventId, [request(1, 'the same key')]);
  const replays = await Promise.all(Array.from({ length: 300 }, () => attemptFast(pool, eventId, [request(1, 'the same key')])));
  expect(replays.flat().every((outcome) => outcome?.kind === 'granted' && outcome.replayed)).toBe(true);
  expect(await backends()).toEqual(before);
  await expectConserved(pool, eventId, 1);
});

test.each([
  ['a violated check', 'UPDATE events SET available = -1', '23514'],
  ['a wrong statement', 'SELECT no_such_column', '42703'],
])('%s does not cost the session', async (_what, statement, sqlState) => {
  const pool = database.openPool({ connectionsMax: 1 });
  await newEvent(pool, 10);
  const pid = await pidOf(pool);
  const fault = await pool.prisma.$queryRaw(Prisma.sql([statement])).catch((error: unknown) => error);
  expect(classify(fault).sqlState).toBe(sqlState);
  expect(await pidOf(pool)).toBe(pid);
});

test('a session that the server ended is not used again', async () => {
  const pool = database.openPool({ connectionsMax: 1 });
  const pid = await pidOf(pool);
  const fault = await pool.prisma.$queryRaw`SELECT pg_terminate_backend(pg_backend_pid())`.catch((error: unknown) => error);
  expect(classify(fault)).toMatchObject({ transient: true, undone: false });
  expect(await pidOf(pool)).not.toBe(pid);
});

test('a connection is replaced at its age, and not before', async () => {
  const young = database.openPool({ connectionsMax: 1 });
  const old = database.openPool({ connectionsMax: 1, connectionAgeMaxMs: 300 });
  const [first, replaced] = [await pidOf(young), await pidOf(old)];
  while ((await backends()).includes(replaced)); // in idleness too
  expect(await pidOf(old)).not.toBe(replaced);
  expect(await pidOf(young)).toBe(first);
});

test.each(['meets its deadline', 'finds its database read-only'])(
  'when one connection of one pool %s, the idle connections of all pools of the replica go',
  async (what) => {
    const group = new ConnectionGroup();
    const stranger = database.openPool({ connectionsMax: 1 });
    const pools = [1, 2, 3].map(() => database.openPool({ connectionsMax: 2, clientDeadlineMs: 500 }, group));
    const [first] = pools as [Pool];
    await Promise.all(pools.map(fill));
    const unconcerned = await pidOf(stranger);
    const before = await backends();
    expect(before).toHaveLength(7);
    if (what === 'meets its deadline') {
      await expect(first.prisma.$queryRaw`SELECT pg_sleep(1)::text`).rejects.toThrow();
    } else {
      const demote = () => first.prisma.$queryRaw`SELECT set_config('default_transaction_read_only', 'on', false), pg_sleep(0.05)::text`;
      await Promise.all([demote(), demote()]);
      await expect(newEvent(first, 1)).rejects.toThrow();
    }
    const afterwards = await Promise.all(pools.map(pidOf)); // at once: nobody is handed a connection that was given up
    expect(afterwards.filter((pid) => before.includes(pid))).toEqual([]);
    while ((await backends()).some((pid) => before.includes(pid) && pid !== unconcerned));
    expect(await pidOf(stranger)).toBe(unconcerned);
  },
);

test('a lent session is the same for all of its work, and nothing else uses it meanwhile', async () => {
  const pool = database.openPool({ connectionsMax: 2 });
  const pid = Prisma.sql`SELECT pg_backend_pid()`;
  await pool.withSession(async (session) => {
    await session.query(Prisma.sql`DECLARE numbers CURSOR WITH HOLD FOR SELECT n FROM generate_series(1, ${3}::int) n`);
    const [[own]] = (await session.query<[number]>(pid)) as [[number]];
    expect(await pidOf(pool)).not.toBe(own);
    expect(await session.query(Prisma.sql`FETCH 2 FROM numbers`)).toEqual([[1], [2]]);
    expect(await session.query(Prisma.sql`FETCH 2 FROM numbers`)).toEqual([[3]]);
    expect(await session.query<[number]>(pid)).toEqual([[own]]);
    await session.query(Prisma.sql`CLOSE numbers`);
  });
});

test('a lent session is kept after its work, and closed if the work failed, whatever failed', async () => {
  const pool = database.openPool({ connectionsMax: 1 });
  const work = () => pool.withSession(async (session) => (await session.query<[number]>(Prisma.sql`SELECT pg_backend_pid()`))[0]![0]);
  const pid = await work();
  expect(await work()).toBe(pid);
  const failed = pool.withSession(async (session) => {
    await session.query(Prisma.sql`DECLARE left_open CURSOR WITH HOLD FOR SELECT 1`);
    throw new Error('not of the database');
  });
  await expect(failed).rejects.toThrow('not of the database');
  expect(await work()).not.toBe(pid);
  await expect(pool.withSession((session) => session.query(Prisma.sql`SELECT no_such_column`))).rejects.toMatchObject({ code: '42703' });
  expect(await pool.withSession((session) => session.query(Prisma.sql`SELECT name FROM pg_cursors`))).toEqual([]);
});
