/**
 * Goal: a 503 says what happened: `overloaded` that nothing was bought, `outcome-unknown` where to look later.
 * Method: a replica with short deadlines; another session holds the event's row, every COMMIT of a purchase loses its
 * connection, or nobody is at the database's address for a while.
 */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { beforeAll, expect, test } from '@jest/globals';
import { makeEvent } from '../support/client.js';
import { useDatabase } from '../support/database.js';
import { untilReady } from '../support/readiness.js';
import { type Replica, startReplica } from '../support/replica.js';
import { anyUuidV7, call, nobody, type Reply, untilReadyz } from './call.js';
import { fingerprint } from './rows.js';

const database = useDatabase();
let replica: Replica;

const shortDeadlines = {
  CONNECT_TIMEOUT_MS: '900',
  LOCK_TIMEOUT_MS: '200',
  STATEMENT_TIMEOUT_MS: '1000',
  TRANSACTION_TIMEOUT_MS: '1100',
  CLIENT_DEADLINE_MS: '1200',
  PURCHASE_DEADLINE_MS: '1500',
  EVENT_PURCHASES_IN_PROGRESS_MAX: '1',
};

async function startImpatient(url: string): Promise<Replica> {
  const started = await startReplica(url, shortDeadlines);
  await untilReady(started.readiness);
  return started;
}

beforeAll(async () => {
  replica = database.closeLater(await startImpatient(database.url));
});

const make = () => makeEvent(replica.address, { total_quota: 10, max_purchase_limit: 4 });

function buy(eventId: string, key?: string, address = replica.address): Promise<Reply> {
  const headers = key === undefined ? {} : { 'Idempotency-Key': key };
  return call(address, `POST /events/${eventId}/purchases`, { json: { quantity: 2 }, headers });
}

/** While another session has the event's row locked. */
async function whileLocked<T>(eventId: string, work: () => Promise<T>): Promise<T> {
  const client = await database.sql.connect();
  try {
    await client.query('BEGIN');
    await client.query('SELECT 1 FROM events WHERE id = $1 FOR UPDATE', [eventId]);
    return await work();
  } finally {
    await client.query('ROLLBACK');
    client.release();
  }
}

/** Again while overloaded: the place of a request that was given up is taken until its transaction has ended. */
async function buyPatiently(eventId: string, key?: string, address?: string): Promise<Reply> {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const reply = await buy(eventId, key, address);
    if (reply.body.code !== 'overloaded') return reply;
    await pause(100);
  }
  throw new Error('overloaded for five seconds');
}

function expectOverloaded({ status, headers, body }: Reply): void {
  expect([status, body.code]).toEqual([503, 'overloaded']);
  expect(headers['retry-after']).toMatch(/^[1-9]\d*$/);
}

/** Whether a transaction carried it at its deadline is chance. */
function expectLate({ status, headers, body }: Reply): void {
  expect(status).toBe(503);
  expect(headers['retry-after']).toMatch(/^[1-9]\d*$/);
  expect(['overloaded', 'outcome-unknown']).toContain(body.code);
  if (body.code === 'outcome-unknown') expect(body['purchase_id']).toEqual(anyUuidV7);
}

/** A request that waits for the row, the only one that may be in progress; it is served when the row is free. */
async function occupyLine<T>(eventId: string, work: () => Promise<T>): Promise<{ occupant: Reply; result: T }> {
  let waiting: Promise<Reply> | undefined;
  const result = await whileLocked(eventId, async () => {
    waiting = buy(eventId);
    await pause(100);
    return work();
  });
  return { occupant: await waiting!, result };
}

test('a purchase beyond those in progress is refused at once as overloaded and buys nothing; the one in progress is served', async () => {
  const eventId = await make();
  const before = await fingerprint(database);
  const { occupant, result } = await occupyLine(eventId, () => Promise.all([buy(eventId), buy(eventId)]));
  result.forEach(expectOverloaded);
  expect(occupant.status).toBe(201);
  expect(await fingerprint(database)).toMatchObject({ purchases: before.purchases + 1, tickets: before.tickets + 2 });
});

test('a full line of one event does not refuse the buyers of another', async () => {
  const [stormed, other] = [await make(), await make()];
  const { result } = await occupyLine(stormed, () => Promise.all([buy(stormed), buy(other)]));
  expectOverloaded(result[0]);
  expect(result[1].status).toBe(201);
});

test('a key that was refused as overloaded may buy later', async () => {
  const eventId = await make();
  const { result } = await occupyLine(eventId, () => buy(eventId, 'refused-at-first'));
  expectOverloaded(result);
  const { status, headers } = await buyPatiently(eventId, 'refused-at-first');
  expect(status).toBe(201);
  expect(headers).not.toHaveProperty('idempotency-replayed');
});

test('who waits for a row that nobody gives back has an answer by the deadline: 503, when to come back, and where to look', async () => {
  const eventId = await make();
  const startedAtMs = performance.now();
  const late = await whileLocked(eventId, () => buy(eventId));
  expect(performance.now() - startedAtMs).toBeLessThan(4_000);
  expectLate(late);
});

test('what is left can be read while a purchase waits', async () => {
  const eventId = await make();
  const { result } = await occupyLine(eventId, () => call(replica.address, `GET /events/${eventId}`));
  expect([result.status, result.body['available_quantity']]).toEqual([200, 10]);
});

test('when every COMMIT loses its connection the answer is outcome-unknown, and the key tells later', async () => {
  const eventId = await make();
  await database.sql.query(`
    CREATE FUNCTION lose_connection() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER lose_connection AFTER INSERT ON purchases
      DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION lose_connection()`);
  const { status, headers, body } = await buy(eventId, 'not-known-at-first');
  await database.sql.query('DROP TRIGGER lose_connection ON purchases');
  expect([status, body.code]).toEqual([503, 'outcome-unknown']);
  expect(headers['retry-after']).toMatch(/^[1-9]\d*$/);
  expect(body['purchase_id']).toEqual(anyUuidV7);

  const lookedUp = await call(replica.address, `GET /events/${eventId}/purchases/${String(body['purchase_id'])}`);
  // The last attempt may come through while the trigger is being dropped; if so, this purchase is the one.
  expect([200, 404]).toContain(lookedUp.status);
  const again = await buyPatiently(eventId, 'not-known-at-first');
  expect(again.status).toBe(201);
  if (lookedUp.status === 200) expect(again.body.id).toBe(body['purchase_id']);
  const { body: books } = await call(replica.address, `GET /admin/events/${eventId}/audit`);
  expect(books).toMatchObject({ available_quantity: 8, sold_quantity: 2, tickets_issued: 2, consistent: true });
});

/** A way to the database that can be taken away and given back. */
interface Way {
  readonly url: string;
  cut(): Promise<void>;
  restore(): Promise<void>;
}

async function makeWay(databaseUrl: string): Promise<Way> {
  const url = new URL(databaseUrl);
  const target = { host: url.hostname, port: Number(url.port) };
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(target);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far).pipe(near);
  });
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  await listen(0);
  const { port } = server.address() as AddressInfo;
  url.hostname = '127.0.0.1';
  url.port = String(port);
  const cut = () =>
    new Promise<void>((resolve) => {
      server.close(() => {
        resolve();
      });
      for (const socket of sockets) socket.destroy();
    });
  return { url: url.href, cut, restore: () => listen(port) };
}

test('a replica that loses its database lives, is not ready, sells nothing, and recovers by itself', async () => {
  const way = await makeWay(database.url);
  const cutOff = await startImpatient(way.url);
  try {
    const eventId = await makeEvent(cutOff.address, { total_quota: 10, max_purchase_limit: 4 });
    const at = (line: string) => call(cutOff.address, line);
    const before = await fingerprint(database);
    await way.cut();
    expect((await at('GET /healthz')).status).toBe(200);
    expect((await untilReadyz(cutOff.address, 503)).body.code).toBe('not-ready');
    expectOverloaded(await at('GET /events'));
    expectOverloaded(await at(`GET /events/${eventId}`));
    expectOverloaded(await at(`GET /events/${eventId}/purchases/${nobody}`));
    expectOverloaded(await at(`GET /admin/events/${eventId}/audit`));
    expectLate(await buy(eventId, undefined, cutOff.address));
    await way.restore();
    expect(await fingerprint(database)).toEqual(before);
    await untilReadyz(cutOff.address, 200);
    expect((await at(`GET /events/${eventId}`)).body).toMatchObject({ available_quantity: 10 });
    expect((await buyPatiently(eventId, undefined, cutOff.address)).status).toBe(201);
  } finally {
    await cutOff.close();
    await way.cut();
  }
});
