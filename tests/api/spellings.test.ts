/**
 * Goal: a refusal costs what it is allowed to cost, however the path is spelled and wherever it is refused.
 * Method: requests as bytes, to a replica whose line is full, or which sends so few refusals that the others can be counted
 * while they wait.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { audit, buy, makeEvent } from '../support/client.js';
import { useDatabase } from '../support/database.js';
import { type Replica, startReplica } from '../support/replica.js';
import { untilWaiting } from '../interleavings/sessions.js';
import { call, nobody } from './call.js';

const database = useDatabase();
let replica: Replica;
let eventId: string;
let clients: Client[];
beforeEach(async () => {
  // The first refusal is sent at once, the others one a second.
  replica = await startReplica(database.url, { EVENT_PURCHASES_IN_PROGRESS_MAX: '1', REFUSALS_PER_SECOND_MAX: '1' });
  eventId = await makeEvent(replica.address, { total_quota: 10, max_purchase_limit: 4 });
  clients = [];
});
afterEach(async () => {
  for (const client of clients) client.socket.destroy();
  expect((await audit(replica.address, eventId)).body).toMatchObject({ consistent: true });
  await replica.close();
});

/** A connection on which bytes are sent, and what came back. */
class Client {
  received = '';

  constructor(readonly socket: Socket) {
    socket.on('error', () => undefined).on('data', (chunk) => (this.received += String(chunk)));
  }

  async status(): Promise<string> {
    while (!this.received.includes('\r\n\r\n')) await once(this.socket, 'data');
    return this.received.slice('HTTP/1.1 '.length).slice(0, 3);
  }
}

function send(target: string, body: string, declaredBytes = body.length, moreHeaders = ''): Client {
  const { hostname, port } = new URL(replica.address);
  const client = new Client(connect(Number(port), hostname));
  clients.push(client);
  client.socket.write(
    `POST ${target} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${String(declaredBytes)}\r\n${moreHeaders}\r\n${body}`,
  );
  return client;
}

/** So many that a busy machine cannot miss the moment in which most of them wait. */
const crowd = 30;
const some = Array.from({ length: crowd }, (_, index) => index);

/** Most of them wait for their turn, which comes once a second. */
async function expectToWait(asked: readonly Client[]): Promise<void> {
  for (;;) {
    const { text } = await call(replica.address, 'GET /metrics');
    if (Number(/^onsale_refusals_waiting (\d+)$/m.exec(text)?.[1]) > crowd / 2) break;
    if (asked.every(({ received }) => received !== '')) throw new Error('nobody had to wait');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(asked.filter(({ received }) => received === '').length).toBeGreaterThan(crowd / 4);
}

/** While no further purchase is admitted: one is in progress, and its row is held. */
async function whileFull(work: () => Promise<void>): Promise<void> {
  const client = await database.sql.connect();
  let first: ReturnType<typeof buy> | undefined;
  try {
    await client.query('BEGIN');
    await client.query(`SELECT FROM events WHERE id = '${eventId}' FOR UPDATE`);
    first = buy(replica.address, eventId, 1);
    await untilWaiting(database.sql);
    await work();
  } finally {
    await client.query('ROLLBACK');
    client.release();
  }
  expect((await first).status).toBe(201);
}

const hex = (text: string) => `%${text.charCodeAt(0).toString(16)}`;
const spellings: readonly [string, (id: string) => string][] = [
  ['as documented', (id) => `/events/${id}/purchases`],
  ['with a query', (id) => `/events/${id}/purchases?x=1`],
  ['in capitals', (id) => `/events/${id.toUpperCase()}/purchases`],
  ['with one character encoded', (id) => `/events/${hex(id)}${id.slice(1)}/purchases`],
  ['with all characters encoded', (id) => `/events/${Array.from(id, hex).join('')}/purchases`],
  ['as an absolute URL', (id) => `http://a/events/${id}/purchases`],
  ['as an absolute URL with a user', (id) => `http://u:p@a:1/events/${id}/purchases?x`],
  ['with a fragment', (id) => `/events/${id}/purchases#x`],
  ['with backslashes', (id) => `/events\\${id}\\purchases#`],
  ['with a slash at its end', (id) => `/events/${id}/purchases/`],
  ['with a slash at its end, encoded', (id) => `/events/${hex(id)}${id.slice(1)}/purchases/`],
];

test.each(spellings)('a path %s is refused before its body is looked at, in its turn', async (_name, spell) => {
  await whileFull(async () => {
    const wrongBody = '{"no":"purchase"}';
    expect(await send(spell(eventId), wrongBody).status()).toBe('503');
    // Of every second one the body never comes.
    await expectToWait(some.map((index) => send(spell(eventId), wrongBody.slice(0, index % 2 === 0 ? 5 : undefined), wrongBody.length)));
  });
});

test.each(spellings)('a path %s is bought from while there is room', async (_name, spell) => {
  expect(await send(spell(eventId), '{"quantity":1}').status()).toBe('201');
});

test('a purchase that was let through and finds too many in progress once its body is there is refused in its turn, too', async () => {
  const body = '{"quantity":1}';
  const target = `/events/${eventId}/purchases`;
  const early = some.map(() => send(target, '', body.length, 'Expect: 100-continue\r\n'));
  for (const client of early) {
    expect(await client.status()).toBe('100'); // sent when the head has been read
    client.received = '';
  }
  await whileFull(async () => {
    for (const { socket } of early) socket.write(body);
    await expectToWait(early);
    expect(early.filter(({ received }) => received !== '' && !received.startsWith('HTTP/1.1 503 '))).toEqual([]);
  });
});

test.each([
  ['an event that does not exist', `/events/${nobody}/purchases`, '{"quantity":1}', '404'],
  ['an id that is none', '/events/x/purchases', '{"quantity":1}', '400'],
  ['a body that is none', '', '{"quantity":', '400'],
  ['a path that is none', '/nothing', '', '404'],
  ['no token', '/admin/events', '{}', '401'],
])('%s: a client that goes on asking waits for its turn', async (_name, path, body, status) => {
  const target = path === '' ? `/events/${eventId}/purchases` : path;
  expect(await send(target, body).status()).toBe(status);
  await expectToWait(some.map(() => send(target, body)));
  expect((await call(replica.address, 'GET /healthz')).status).toBe(200);
  expect((await buy(replica.address, eventId, 1)).status).toBe(201);
});

test('a probe that is answered "not ready" does not wait for its turn', async () => {
  replica.readiness.drain();
  for (let asked = 0; asked < 3; asked += 1) expect((await call(replica.address, 'GET /readyz')).status).toBe(503);
});
