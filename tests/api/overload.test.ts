/**
 * Goal: every queue is bounded, and a request beyond the bound is refused at once, in the words of the contract, with nothing bought.
 * Method: replicas with small limits, and another session that holds what they wait for.
 */
import { once } from 'node:events';
import { Agent, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { audit, makeEvent } from '../support/client.js';
import { useDatabase } from '../support/database.js';
import { type Replica, startReplica } from '../support/replica.js';
import { untilWaiting } from '../interleavings/sessions.js';
import { call, nobody, type Reply } from './call.js';

const database = useDatabase();

async function withReplica(env: Record<string, string>, work: (replica: Replica) => Promise<void>): Promise<void> {
  const replica = await startReplica(database.url, env);
  try {
    await work(replica);
  } finally {
    await replica.close();
  }
}

/** While another session holds what the statement locks. */
async function whileHeld(statement: string, work: () => Promise<void>): Promise<void> {
  const client = await database.sql.connect();
  try {
    await client.query('BEGIN');
    await client.query(statement);
    await work();
  } finally {
    await client.query('ROLLBACK');
    client.release();
  }
}

const holdEvent = (eventId: string) => `SELECT FROM events WHERE id = '${eventId}' FOR UPDATE`;
/** Look-ups of purchases read tickets, and nothing that is asked about events does. */
const holdTickets = 'LOCK TABLE tickets IN ACCESS EXCLUSIVE MODE';
const holdEvents = 'LOCK TABLE events IN ACCESS EXCLUSIVE MODE';

const buy = ({ address }: Replica, eventId: string, body: unknown = { quantity: 1 }) =>
  call(address, `POST /events/${eventId}/purchases`, { json: body });

function expectOverloaded({ status, headers, body }: Reply): void {
  expect([status, body.code]).toEqual([503, 'overloaded']);
  expect(headers).toMatchObject({
    'content-type': 'application/problem+json',
    'retry-after': expect.stringMatching(/^[1-9]\d*$/),
    'x-request-id': body['request_id'],
    'cache-control': 'no-store',
  });
}

/** Requests refused for this reason. */
async function refused({ address }: Replica, reason: string): Promise<number> {
  const { text } = await call(address, 'GET /metrics');
  return Number(new RegExp(`^onsale_refused_total\\{reason="${reason}"\\} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
}

test('a purchase beyond those in progress is refused before its body is read, and the one in progress is served', async () => {
  await withReplica({ EVENT_PURCHASES_IN_PROGRESS_MAX: '1' }, async (replica) => {
    const eventId = await makeEvent(replica.address, { total_quota: 10, max_purchase_limit: 4 });
    let first: Promise<Reply> | undefined;
    await whileHeld(holdEvent(eventId), async () => {
      first = buy(replica, eventId);
      await untilWaiting(database.sql);
      expectOverloaded(await buy(replica, eventId));
      expectOverloaded(await buy(replica, eventId, { no: 'purchase' }));
    });
    expect((await first)?.status).toBe(201);
    expect(await refused(replica, 'event purchases full')).toBe(2);
    expect((await audit(replica.address, eventId)).body).toMatchObject({ sold_quantity: 1, consistent: true });
  });
});

test('more refusals than there is time for wait for their turn, and are all sent', async () => {
  await withReplica({ EVENT_PURCHASES_IN_PROGRESS_MAX: '1', REFUSALS_PER_SECOND_MAX: '100' }, async (replica) => {
    const eventId = await makeEvent(replica.address, { total_quota: 10, max_purchase_limit: 4 });
    let first: Promise<Reply> | undefined;
    await whileHeld(holdEvent(eventId), async () => {
      first = buy(replica, eventId);
      await untilWaiting(database.sql);
      const refusals = await Promise.all(Array.from({ length: 40 }, () => buy(replica, eventId)));
      refusals.forEach(expectOverloaded);
    });
    expect((await first)?.status).toBe(201);
  });
});

test('a buyer who hangs up while the request is in the queue buys nothing', async () => {
  await withReplica({}, async (replica) => {
    const eventId = await makeEvent(replica.address, { total_quota: 10, max_purchase_limit: 4 });
    let first: Promise<Reply> | undefined;
    await whileHeld(holdEvent(eventId), async () => {
      first = buy(replica, eventId);
      await untilWaiting(database.sql);
      const headers = { 'Content-Type': 'application/json' };
      const impatient = httpRequest(`${replica.address}/events/${eventId}/purchases`, { method: 'POST', headers, agent: new Agent() });
      impatient.on('error', () => undefined).end('{"quantity":2}');
      await pause(100);
      impatient.destroy();
      await pause(100);
    });
    expect((await first)?.status).toBe(201);
    for (let attempt = 0; attempt < 50 && (await refused(replica, 'client gone')) === 0; attempt += 1) await pause(20);
    expect(await refused(replica, 'client gone')).toBe(1);
    expect((await audit(replica.address, eventId)).body).toMatchObject({ sold_quantity: 1, consistent: true });
  });
});

test.each([
  ['lists full', 'GET /events', { LISTS_IN_PROGRESS_MAX: '1' }],
  ['admin full', 'GET /admin/events', { ADMIN_IN_PROGRESS_MAX: '1' }],
])('%s: the next is refused at once, and probes are answered', async (reason, line, env) => {
  await withReplica(env, async (replica) => {
    let first: Promise<Reply> | undefined;
    await whileHeld(holdEvents, async () => {
      first = call(replica.address, line);
      await untilWaiting(database.sql);
      expectOverloaded(await call(replica.address, line));
      expect((await call(replica.address, 'GET /healthz')).status).toBe(200);
      expect((await call(replica.address, 'GET /readyz')).status).toBe(200);
    });
    expect((await first)?.status).toBe(200);
    expect(await refused(replica, reason)).toBe(1);
  });
});

test('look-ups beyond their share are refused at once', async () => {
  await withReplica({ LOOKUPS_IN_PROGRESS_MAX: '1' }, async (replica) => {
    const line = `GET /events/${nobody}/purchases/${nobody}`;
    let first: Promise<Reply> | undefined;
    await whileHeld(holdTickets, async () => {
      first = call(replica.address, line);
      await untilWaiting(database.sql);
      expectOverloaded(await call(replica.address, line));
      expect((await call(replica.address, 'GET /events')).status).toBe(200);
    });
    expect((await first)?.status).toBe(404);
    expect(await refused(replica, 'lookups full')).toBe(1);
  });
});

test('a flood of lists keeps nobody from looking a purchase up, not even while each list waits', async () => {
  await withReplica({ LISTS_IN_PROGRESS_MAX: '10' }, async (replica) => {
    const eventId = await makeEvent(replica.address, { total_quota: 10, max_purchase_limit: 4 });
    const { body: purchase } = await buy(replica, eventId);
    await whileHeld(holdEvents, async () => {
      const lists = Promise.all(Array.from({ length: 40 }, () => call(replica.address, 'GET /events?limit=100')));
      await untilWaiting(database.sql);
      const looks = Array.from({ length: 40 }, () => call(replica.address, `GET /events/${eventId}/purchases/${purchase.id}`));
      expect((await Promise.all(looks)).map(({ status }) => status)).toEqual(looks.map(() => 200));
      expect((await lists).every(({ status }) => status === 503)).toBe(true);
    });
    expect(await refused(replica, 'lists full')).toBeGreaterThanOrEqual(30);
    expect(await refused(replica, 'lookups full')).toBe(0);
  });
});

test('look-ups that all wait leave a connection to what is left and to readiness', async () => {
  await withReplica({}, async (replica) => {
    const eventId = await makeEvent(replica.address, { total_quota: 10, max_purchase_limit: 4 });
    let lookUps: Promise<Reply[]> | undefined;
    await whileHeld(holdTickets, async () => {
      lookUps = Promise.all(Array.from({ length: 10 }, () => call(replica.address, `GET /events/${eventId}/purchases/${nobody}`)));
      await untilWaiting(database.sql);
      expect((await call(replica.address, `GET /events/${eventId}`)).body).toMatchObject({ available_quantity: 10 });
      expect((await call(replica.address, 'GET /readyz')).status).toBe(200);
    });
    expect((await lookUps)?.map(({ body }) => body.code)).toEqual(Array.from({ length: 10 }, () => 'purchase-not-found'));
  });
});

test('where a rate is set, a client that is too fast is answered 429 and when to come back; probes have no rate', async () => {
  await withReplica({ CLIENT_REQUESTS_PER_MINUTE_MAX: '10' }, async (replica) => {
    let reply = await call(replica.address, 'GET /events');
    expect(reply.status).toBe(200);
    for (let sent = 0; sent < 20 && reply.status === 200; sent += 1) reply = await call(replica.address, 'GET /events');
    const { status, headers, body } = reply;
    expect([status, body.code]).toEqual([429, 'rate-limited']);
    expect(headers).toMatchObject({ 'retry-after': expect.stringMatching(/^\d+$/), ratelimit: expect.stringContaining('r=0') });
    expect((await call(replica.address, 'GET /healthz')).status).toBe(200);
    expect(await refused(replica, 'rate limit')).toBe(1);
  });
});

test('the connections of one address are bounded, and those of all; idle ones do not keep a buyer out', async () => {
  await withReplica({ CONNECTIONS_PER_ADDRESS_MAX: '3' }, async (replica) => {
    const { port, hostname } = new URL(replica.address);
    const idle = [connect(Number(port), hostname), connect(Number(port), hostname)];
    await Promise.all(idle.map((socket) => once(socket, 'connect')));
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const third = httpRequest(`${replica.address}/healthz`, { agent }).end();
    const [answer] = (await once(third, 'response')) as [{ statusCode: number; resume(): void }];
    answer.resume();
    expect(answer.statusCode).toBe(200);
    const fourth = connect(Number(port), hostname);
    await once(fourth, 'close');
    for (const socket of idle) socket.destroy();
    agent.destroy();
    await pause(50);
    expect(await refused(replica, 'address connections full')).toBe(1);
  });
});

test('a purchase of an event that does not exist is refused without a place in the queue', async () => {
  await withReplica({ EVENT_PURCHASES_IN_PROGRESS_MAX: '1', PURCHASES_IN_PROGRESS_MAX: '1' }, async (replica) => {
    const eventId = await makeEvent(replica.address, { total_quota: 10, max_purchase_limit: 4 });
    await buy(replica, eventId);
    let first: Promise<Reply> | undefined;
    await whileHeld(holdEvent(eventId), async () => {
      first = buy(replica, eventId);
      await untilWaiting(database.sql);
      const { status, body } = await call(replica.address, `GET /events/${nobody}`);
      expect([status, body.code]).toEqual([404, 'event-not-found']);
    });
    expect((await first)?.status).toBe(201);
    const { text: before } = await call(replica.address, 'GET /metrics');
    const answers = await Promise.all(Array.from({ length: 20 }, () => buy(replica, nobody)));
    expect(answers.map(({ body }) => body.code)).toEqual(answers.map(() => 'event-not-found'));
    const { text: after } = await call(replica.address, 'GET /metrics');
    expect(after).toContain('onsale_purchases_total{outcome="event-not-found"} 20\n');
    const batches = (text: string) => /^onsale_batch_requests_count (\d+)$/m.exec(text)?.[1];
    expect(batches(after)).toBe(batches(before));
  });
});

test('who sends on and on without waiting for answers is cut off, and takes no place among the refusals any more', async () => {
  await withReplica({ EVENT_PURCHASES_IN_PROGRESS_MAX: '1', REFUSALS_PER_SECOND_MAX: '1' }, async (replica) => {
    const eventId = await makeEvent(replica.address, { total_quota: 10, max_purchase_limit: 4 });
    let first: Promise<Reply> | undefined;
    await whileHeld(holdEvent(eventId), async () => {
      first = buy(replica, eventId);
      await untilWaiting(database.sql);
      const { port, hostname } = new URL(replica.address);
      const pushy = connect(Number(port), hostname);
      const one = `POST /events/${eventId}/purchases HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{"quantity":2}`;
      pushy.on('error', () => undefined).write(one.repeat(1_000));
      await new Promise((resolve) => pushy.on('close', resolve));
      const waiting = async () => {
        const { text } = await call(replica.address, 'GET /metrics');
        return Number(/^onsale_refusals_waiting (\d+)$/m.exec(text)?.[1]);
      };
      expect(await waiting()).toBeLessThanOrEqual(4);
      await pause(100);
      expect(await waiting()).toBe(0);
    });
    expect((await first)?.status).toBe(201);
  });
});
