/**
 * Goal: whoever runs it can tell whether it lives, whether it should get traffic and what it does.
 * Method: replicas in every state that a probe can find them in: ready, without a schema, without a database, draining.
 */
import { beforeAll, expect, test } from '@jest/globals';
import { makeEvent } from '../support/client.js';
import { createTestDatabase, type TestDatabase, useDatabase } from '../support/database.js';
import { type Replica, startReplica } from '../support/replica.js';
import { call, nobody, untilReadyz } from './call.js';

const database = useDatabase();
let replica: Replica;

beforeAll(async () => {
  replica = await database.startReplica();
});

async function withReplica(url: string, work: (replica: Replica) => Promise<void>): Promise<void> {
  const started = await startReplica(url);
  try {
    await work(started);
  } finally {
    await started.close();
  }
}

async function withDatabase(options: { empty?: boolean }, work: (database: TestDatabase) => Promise<void>): Promise<void> {
  const made = await createTestDatabase(options);
  try {
    await work(made);
  } finally {
    await made.drop();
  }
}

async function statusOf(address: string, path: string): Promise<number> {
  return (await call(address, `GET ${path}`)).status;
}

async function expectNotReady(address: string): Promise<void> {
  const { body } = await untilReadyz(address, 503);
  expect(body.code).toBe('not-ready');
}

test('a replica with its database lives and is ready', async () => {
  expect(await statusOf(replica.address, '/healthz')).toBe(200);
  await untilReadyz(replica.address, 200);
});

const routes = [
  'GET /events',
  `GET /events/${nobody}`,
  `POST /events/${nobody}/purchases`,
  `GET /events/${nobody}/purchases/${nobody}`,
  'GET /admin/events',
];

test('on a database that was never migrated a replica lives, is not ready and serves nobody', async () => {
  await withDatabase({ empty: true }, async ({ url }) => {
    await withReplica(url, async ({ address }) => {
      await expectNotReady(address);
      expect(await statusOf(address, '/healthz')).toBe(200);
      for (const path of ['/metrics', '/openapi.json', '/docs']) expect([path, await statusOf(address, path)]).toEqual([path, 200]);
      for (const line of routes) {
        const { status, headers, body } = await call(address, line, line.startsWith('POST') ? { json: { quantity: 1 } } : {});
        expect([line, status, body.code, headers['retry-after']]).toEqual([line, 503, 'overloaded', expect.stringMatching(/^[1-9]\d*$/)]);
      }
      expect((await call(address, 'GET /admin/events', { admin: false })).status).toBe(401);
    });
  });
});

test('a replica that started before the migration becomes ready after it, by itself', async () => {
  await withDatabase({}, async ({ url, sql }) => {
    await sql.query('ALTER TABLE _prisma_migrations RENAME TO not_yet');
    await withReplica(url, async ({ address }) => {
      await expectNotReady(address);
      expect(await statusOf(address, '/events')).toBe(503);
      await sql.query('ALTER TABLE not_yet RENAME TO _prisma_migrations');
      await untilReadyz(address, 200);
      expect(await statusOf(address, '/events')).toBe(200);
    });
  });
});

test('a replica is not ready on a schema from which a later version took something away, and serves nobody there', async () => {
  await withDatabase({}, async ({ url, sql }) => {
    await sql.query(`INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at, applied_steps_count)
                     VALUES ('later', 'x', '29990101000000_later_contract', now(), 1)`);
    await withReplica(url, async ({ address }) => {
      await expectNotReady(address);
      expect(await statusOf(address, '/events')).toBe(503);
    });
  });
});

test('a replica that cannot reach its database lives and is not ready', async () => {
  await withReplica('postgresql://nobody@127.0.0.1:1/none', async ({ address }) => {
    expect(await statusOf(address, '/healthz')).toBe(200);
    await expectNotReady(address);
  });
});

test('a replica that drains is not ready and still serves', async () => {
  await withReplica(database.url, async ({ address, readiness }) => {
    await untilReadyz(address, 200);
    readiness.drain();
    await expectNotReady(address);
    expect(await statusOf(address, '/healthz')).toBe(200);
    expect(await statusOf(address, '/events')).toBe(200);
  });
});

/** @returns the value of a sample, 0 if there is none yet */
async function sample(name: string, labels = ''): Promise<number> {
  const { text } = await call(replica.address, 'GET /metrics');
  const line = text.split('\n').find((each) => each.startsWith(`${name}${labels} `));
  return Number(line?.split(' ').at(-1) ?? 0);
}

test('/metrics is Prometheus text about the program and about its process', async () => {
  const { status, headers, text } = await call(replica.address, 'GET /metrics');
  expect([status, headers['content-type']]).toEqual([200, expect.stringMatching(/^text\/plain; *version=0\.0\.4/)]);
  expect(text).toMatch(/^# TYPE onsale_purchases_total counter$/m);
  expect(text).toMatch(/^process_cpu_seconds_total \d/m);
  const lines = text.split('\n').filter((line) => line !== '');
  expect(lines.filter((line) => !/^(# (HELP|TYPE) \w+ .+|[a-z_]\w*(\{[^}]*\})? (-?[\d.e+-]+|\+Inf|Nan))$/i.test(line))).toEqual([]);
});

const buyOf = (eventId: string, quantity: number, headers: Record<string, string> = {}) =>
  call(replica.address, `POST /events/${eventId}/purchases`, { json: { quantity }, headers });

test.each([
  ['sold', 2, undefined],
  ['replayed', 2, 'a-key-for-the-metrics'],
  ['insufficient-availability', 3, undefined],
  ['purchase-limit-exceeded', 4, undefined],
])('a purchase that ends as %s moves its counter by one, and tells nobody for which event', async (outcome, quantity, key) => {
  const eventId = await makeEvent(replica.address, { total_quota: 3, max_purchase_limit: 3 });
  if (outcome === 'insufficient-availability') await buyOf(eventId, 1);
  const headers: Record<string, string> = key === undefined ? {} : { 'Idempotency-Key': key };
  const buy = () => buyOf(eventId, quantity, headers);
  if (key !== undefined) await buy();
  const labels = `{outcome="${outcome}"}`;
  const [purchases, batches] = [await sample('onsale_purchases_total', labels), await sample('onsale_batch_requests_count')];
  await buy();
  expect(await sample('onsale_purchases_total', labels)).toBe(purchases + 1);
  expect(await sample('onsale_batch_requests_count')).toBe(batches + 1);
  expect((await call(replica.address, 'GET /metrics')).text).not.toContain(eventId);
});
