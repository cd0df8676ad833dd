/**
 * Goal: the download has every valid ticket of one moment, takes as long as its client likes, and leaves nothing behind.
 * Method: an event with more tickets than the kernel's buffers hold, and a client that stops reading while something happens.
 */
import { get, type IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { text as readText } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { beforeAll, expect, jest, test } from '@jest/globals';
import { v7 as uuidv7 } from 'uuid';
import { readConfig } from '../../src/config.js';
import { drain } from '../../src/http/server/drain.js';
import { createReplica } from '../../src/replica.js';
import { act, buy, makeEvent } from '../support/client.js';
import { useDatabase } from '../support/database.js';
import { insertEvents } from '../support/events.js';
import { untilReady } from '../support/readiness.js';
import { adminToken, patientSettings, type Replica } from '../support/replica.js';
import { expectConserved } from '../support/sales.js';
import { call, nobody } from './call.js';

const database = useDatabase();
let replica: Replica;
/** Confirmed purchases of a thousand tickets each; 30 MB as CSV. */
let large: { readonly eventId: string; readonly purchaseIds: readonly string[] };

const settings = { ...patientSettings, SWEEP_INTERVAL_MS: '3600000' };
const header = 'ticket_id,purchase_id,buyer_id,reference,purchased_at';
const authorization = `Bearer ${adminToken}`;
const pathOf = (eventId: string) => `/admin/events/${eventId}/tickets.csv`;

beforeAll(async () => {
  replica = await database.startReplica(settings);
  large = await insertLarge(100);
});

async function insertLarge(purchases: number): Promise<typeof large> {
  const quota = purchases * 1_000 + 100;
  const [event] = await insertEvents((statement, values) => database.sql.query(statement, values), [{ quota, limit: 1_000 }]);
  const purchaseIds = Array.from({ length: purchases }, () => uuidv7());
  await database.sql.query(
    `WITH bought AS (
       INSERT INTO purchases (event_id, id, quantity, reference, created_at) SELECT $1, unnest($2::uuid[]), 1000, repeat('x', 200), now()
       RETURNING id
     ), sold AS (
       UPDATE events SET available = 100 WHERE id = $1
     )
     INSERT INTO tickets (event_id, id, purchase_id) SELECT $1, gen_random_uuid(), id FROM bought, generate_series(1, 1000)`,
    [event!.id, purchaseIds],
  );
  return { eventId: event!.id, purchaseIds };
}

/** @returns the answer, of which nothing has been read */
function open(eventId: string, address = replica.address): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get(`${address}${pathOf(eventId)}`, { headers: { authorization }, agent: false }, resolve).on('error', reject);
  });
}

interface Ticket {
  readonly ticketId: string;
  readonly purchaseId: string;
}

/** Reads everything; the fields of these events need no quotes. */
async function ticketsOf(answer: IncomingMessage): Promise<Ticket[]> {
  const [first, ...lines] = (await readText(answer)).split('\r\n');
  expect(first).toBe(header);
  expect(lines.pop()).toBe('');
  return lines.map((line) => {
    const [ticketId = '', purchaseId = ''] = line.split(',');
    return { ticketId, purchaseId };
  });
}

/** Of downloads, the one that has asked last first. */
const sessions = async (): Promise<{ pid: number; state: string; snapshot: string | null }[]> => {
  const activity = `SELECT pid, state, backend_xmin::text AS snapshot FROM pg_stat_activity
                     WHERE datname = current_database() AND application_name = 'onsale exports'
                     ORDER BY query_start DESC`;
  return (await database.sql.query<{ pid: number; state: string; snapshot: string | null }>(activity)).rows;
};

async function untilGone(pid: number): Promise<void> {
  while ((await sessions()).some((session) => session.pid === pid)) {
    await pause(10);
  }
}

/** Waits until the replica waits for the client, and the session for the replica. @returns the session */
async function untilIdle(): Promise<{ pid: number; snapshot: string | null }> {
  for (let idle = 0; ;) {
    const [session] = await sessions();
    idle = session?.state === 'idle' ? idle + 1 : 0;
    if (session && idle === 10) return session;
    await pause(10);
  }
}

/** Reads to the end, which is not an orderly one. */
async function expectCut(answer: IncomingMessage): Promise<void> {
  await expect(readText(answer)).rejects.toMatchObject({ code: 'ECONNRESET' });
  expect(answer.complete).toBe(false);
}

test('a line for each valid ticket, quoted as RFC 4180 says; none for what is held, released or cancelled', async () => {
  const eventId = await makeEvent(replica.address, { total_quota: 100, max_purchase_limit: 4, hold_seconds: 600 });
  const named = [
    [{}, ','],
    [{ buyer_id: 'anna', reference: 'order 1' }, 'anna,order 1'],
    [{ buyer_id: '"a",b;c', reference: 'to "them", all' }, '"""a"",b;c","to ""them"", all"'],
    [{ reference: '' }, ',""'],
    [{ buyer_id: '夜🎟', reference: ' Zürich, “8”' }, '夜🎟," Zürich, “8”"'],
    [{ reference: '=1+1' }, ',=1+1'],
  ] as const;
  const lines: string[] = [];
  for (const [names, fields] of named) {
    const { body } = await buy(replica.address, eventId, 2, undefined, names);
    const confirmed = await act(replica.address, eventId, body.id, 'confirm');
    for (const ticket of confirmed.body.tickets) lines.push(`${ticket.id},${body.id},${fields},${String(body['created_at'])}`);
  }
  const [held, released, cancelled] = await Promise.all([1, 2, 3].map(async () => (await buy(replica.address, eventId, 1)).body.id));
  await act(replica.address, eventId, released!, 'release');
  await act(replica.address, eventId, cancelled!, 'confirm');
  await act(replica.address, eventId, cancelled!, 'cancel');
  const { status, headers, text } = await call(replica.address, `GET ${pathOf(eventId)}`);
  expect(status).toBe(200);
  expect(headers).toMatchObject({
    'content-type': 'text/csv; charset=utf-8',
    'content-disposition': `attachment; filename="tickets-${eventId}.csv"`,
    'cache-control': 'no-store',
  });
  expect(text).toBe([header, ...lines, ''].join('\r\n'));
  expect(text).not.toContain(held);
  await expectConserved(database.openPool(), eventId, 12, 1);
});

test('an event without tickets has a header only, and one download after the other uses the same session', async () => {
  const eventId = await makeEvent(replica.address, { total_quota: 100, max_purchase_limit: 4 });
  for (let times = 0; times < 3; times += 1) {
    const { status, text } = await call(replica.address, `GET ${pathOf(eventId)}`);
    expect([status, text]).toEqual([200, `${header}\r\n`]);
  }
  expect((await sessions()).length).toBe(1);
});

test.each([
  ['of an unknown event', `GET ${pathOf(nobody)}`, {}, 404, 'event-not-found'],
  ['of a malformed id', `GET ${pathOf('nothing')}`, {}, 400, 'validation'],
  ['without a token', `GET ${pathOf(nobody)}`, { admin: false }, 401, 'unauthorized'],
  ['by another method', `POST ${pathOf(nobody)}`, { json: {} }, 405, 'method-not-allowed'],
] as const)('a download %s is refused', async (_name, line, options, status, code) => {
  const { headers, ...refused } = await call(replica.address, line, options);
  expect([refused.status, refused.body.code]).toEqual([status, code]);
  expect(headers).not.toHaveProperty('content-disposition');
});

test('HEAD says what GET would, and reads nothing', async () => {
  const { eventId } = large;
  const { status, headers, text } = await call(replica.address, `HEAD ${pathOf(eventId)}`);
  expect([status, text]).toEqual([200, undefined]);
  expect(headers).toMatchObject({ 'content-type': 'text/csv; charset=utf-8', 'content-disposition': expect.stringContaining(eventId) });
  expect((await call(replica.address, `HEAD ${pathOf(nobody)}`)).status).toBe(404);
});

test('all tickets of one moment: what is sold and cancelled while the client does not read changes nothing, and no snapshot is kept', async () => {
  const { eventId, purchaseIds } = large;
  const answer = await open(eventId);
  const session = await untilIdle();
  expect(session.snapshot).toBeNull();
  const { body: late } = await buy(replica.address, eventId, 50);
  expect((await act(replica.address, eventId, purchaseIds.at(-1)!, 'cancel')).status).toBe(200);
  const tickets = await ticketsOf(answer);
  expect(new Set(tickets.map(({ ticketId }) => ticketId)).size).toBe(100_000);
  expect([...new Set(tickets.map(({ purchaseId }) => purchaseId))]).toEqual(purchaseIds);

  const next = await ticketsOf(await open(eventId));
  expect([...new Set(next.map(({ purchaseId }) => purchaseId))]).toEqual([...purchaseIds.slice(0, -1), late.id]);
  expect(next.length).toBe(99_000 + 50);
  await expectConserved(database.openPool(), eventId, 99_050);
});

test('a second download at the same time is refused, and lists are not; after the first it is served', async () => {
  const { eventId } = large;
  const first = await open(eventId);
  await untilIdle();
  const refused = await call(replica.address, `GET ${pathOf(eventId)}`);
  expect([refused.status, refused.body.code]).toEqual([503, 'overloaded']);
  expect(refused.headers['retry-after']).toMatch(/^[1-9]\d*$/);
  expect((await call(replica.address, `HEAD ${pathOf(eventId)}`)).status).toBe(200);
  expect((await call(replica.address, `GET /admin/events/${eventId}/purchases?limit=1`)).status).toBe(200);
  const { text } = await call(replica.address, 'GET /metrics');
  expect(text).toContain('onsale_refused_total{reason="exports full"} 1\n');
  const tickets = await ticketsOf(first);
  expect((await ticketsOf(await open(eventId))).length).toBe(tickets.length);
});

test('a client that goes away leaves no session behind, and its place is free', async () => {
  const answer = await open(large.eventId);
  const { pid } = await untilIdle();
  answer.destroy();
  await untilGone(pid);
  expect((await ticketsOf(await open(large.eventId))).length).toBeGreaterThan(99_000);
});

test('a client that stops reading is cut off, and one that reads slowly is not', async () => {
  const impatient = await database.startReplica({ ...settings, ANSWER_TAKEN_TIMEOUT_MS: '2000' });
  const stopped = await open(large.eventId, impatient.address);
  const { pid } = await untilIdle();
  await untilGone(pid);
  await expectCut(stopped);

  const slow = await open(large.eventId, impatient.address);
  const beganAtMs = performance.now();
  let bytes = 0;
  for await (const chunk of slow) {
    bytes += (chunk as Buffer).length;
    await pause(6);
  }
  expect(slow.complete).toBe(true);
  expect(bytes).toBeGreaterThan(25_000_000);
  expect(performance.now() - beganAtMs).toBeGreaterThan(2_000);
});

test('a download whose session is lost is cut, and the connection reset', async () => {
  // By a reset, because a client of HTTP/1.0 takes an orderly end of the connection for the end of the answer. (Node's own client
  // sometimes reports a reset as an orderly end, so it cannot tell.)
  const reset = jest.spyOn(Socket.prototype, 'resetAndDestroy');
  const answer = await open(large.eventId);
  const { pid } = await untilIdle();
  await database.sql.query('SELECT pg_terminate_backend($1)', [pid]);
  await expectCut(answer);
  expect(reset).toHaveBeenCalledTimes(1);
  reset.mockRestore();
});

test('a download that cannot begin is refused before any byte of it', async () => {
  const impatient = await database.startReplica({ ...settings, LOCK_TIMEOUT_MS: '100' });
  const client = await database.sql.connect();
  try {
    await client.query('BEGIN; LOCK TABLE tickets IN ACCESS EXCLUSIVE MODE');
    const refused = await call(impatient.address, `GET ${pathOf(large.eventId)}`);
    expect([refused.status, refused.body.code]).toEqual([503, 'overloaded']);
    expect(refused.headers).not.toHaveProperty('content-disposition');
  } finally {
    await client.query('ROLLBACK');
    client.release();
  }
});

test.each([
  ['is finished if its client reads', 60_000],
  ['is cut off at the limit if it does not', 100],
])('a download in progress when the replica drains %s', async (_name, cutOffMs) => {
  const config = readConfig({ DATABASE_URL: database.url, ADMIN_TOKEN: adminToken, LOG_LEVEL: 'silent', ...settings });
  const draining = database.closeLater(createReplica(config, database.url, adminToken));
  await untilReady(draining.readiness);
  const server = draining.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const answer = await open(large.eventId, `http://127.0.0.1:${String(port)}`);
  const { pid } = await untilIdle();
  const drained = drain(server, cutOffMs, draining.unanswered);
  if (cutOffMs === 60_000) {
    expect((await ticketsOf(answer)).length).toBeGreaterThan(99_000);
    await drained;
  } else {
    await drained;
    await expectCut(answer);
    await untilGone(pid);
  }
});
