/**
 * Goal: malformed HTTP is answered as the contract says an error is, buys nothing, and costs no other client its answer.
 * Method: bytes on a bare socket.
 */
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { beforeAll, expect, test } from '@jest/globals';
import { audit, makeEvent } from '../support/client.js';
import { useDatabase } from '../support/database.js';
import type { Replica } from '../support/replica.js';
import { untilWaiting } from '../interleavings/sessions.js';

const database = useDatabase();
let replica: Replica;

beforeAll(async () => {
  replica = await database.startReplica();
});

/** Sends the bytes, and says that it has no more unless it has; reads until the other side closes. */
async function sendBytes(bytes: string, more = false): Promise<string> {
  const { hostname, port } = new URL(replica.address);
  const socket = connect(Number(port), hostname);
  if (more) socket.write(bytes);
  else socket.end(bytes);
  let answer = '';
  for await (const chunk of socket) answer += String(chunk);
  return answer;
}

const get = (target: string, rest = '') => `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${rest}\r\n`;

/** The answer is a problem with this status, and has what every answer has. @returns its body */
function expectProblem(answer: string, status: number): Record<string, unknown> {
  expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${String(status)} `));
  for (const header of [
    /^X-Request-Id: \S+\r$/im,
    /^Content-Type: application\/problem\+json\r$/im,
    /^Cache-Control: no-store\r$/im,
    /^X-Content-Type-Options: nosniff\r$/im,
    /^Date: \S.*GMT\r$/im,
    /^Connection: close\r$/im,
  ]) {
    expect(answer).toMatch(header);
  }
  const body = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)) as Record<string, unknown>;
  expect(body).toMatchObject({ status, code: 'validation', title: expect.any(String), errors: expect.any(Array) });
  expect(answer).toContain(`\r\nX-Request-Id: ${String(body['request_id'])}\r\n`);
  return body;
}

test.each([
  ['no HTTP', 'give me a ticket\r\n\r\n', 400],
  ['two lengths for one body', 'POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}', 400],
  ['headers without end', `GET /events HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
  ['an unknown expectation', get('/events', 'Expect: magic\r\n'), 417],
  ['no Host', 'GET /events HTTP/1.1\r\n\r\n', 400],
  ['two Hosts', get('/events', 'host: y\r\n'), 400],
  ['the same Host twice', get('/events', 'HOST: x\r\n'), 400],
  ['HTTP/2.0', 'GET /events HTTP/2.0\r\nHost: x\r\n\r\n', 400],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
  ['HTTP/0.9', 'GET /events\r\n\r\n', 400],
  ['101 headers', get('/events', 'X-Many: 1\r\n'.repeat(99)), 431],
  ['2,001 headers', get('/events', 'X: 1\r\n'.repeat(1_999)), 431],
  ['an absolute target that is not a URL', get('http://[/'), 400],
  ['an absolute target that is not a URL, with a method that has a body', get('http://[/').replace('GET', 'POST'), 400],
  ['a target of another scheme', get('custom://x'), 400],
  ['a broken escape in an absolute target', get('http://x/events/%zz'), 400],
  ['a tunnel', 'CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n', 400],
])('%s is answered with problem+json', async (_name, bytes, status) => {
  expectProblem(await sendBytes(bytes), status);
});

test.each([
  ['HTTP/1.0 without a Host', 'GET /healthz HTTP/1.0\r\n\r\n'],
  ['100 headers', get('/healthz', 'X-Many: 1\r\n'.repeat(98))],
  ['an upgrade that is not offered', get('/healthz', 'Upgrade: websocket\r\n')],
  ['an absolute target', get('http://x/healthz')],
])('%s is answered as usual', async (_name, bytes) => {
  expect(await sendBytes(bytes)).toMatch(/^HTTP\/1.1 200 /);
});

test.each([
  ['a request to open a tunnel', 'CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n'],
  ['a malformed request and what was pipelined behind it', `${get('/healthz', 'Host: y\r\n')}${get('/healthz').repeat(50)}`],
])('%s ends its connection with one answer, whatever the client does', async (_name, bytes) => {
  const answer = await sendBytes(bytes, true);
  expect(answer.match(/HTTP\/1.1 /g)).toHaveLength(1);
  expectProblem(answer, 400);
});

const purchase = (eventId: string, headers: string, body = '{"quantity":2}') =>
  `POST /events/${eventId}/purchases HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n` +
  `Content-Length: ${String(body.length)}\r\n${headers}\r\n${body}`;

test('a key behind more headers than are read is not lost: the purchase is refused', async () => {
  const eventId = await makeEvent(replica.address, { total_quota: 10, max_purchase_limit: 4 });
  for (const more of [98, 2_000]) {
    const headers = `${'X: 1\r\n'.repeat(more)}Idempotency-Key: a-key-behind-many-headers\r\n`;
    for (let attempt = 0; attempt < 2; attempt += 1) {
      expectProblem(await sendBytes(purchase(eventId, headers)), 431);
    }
  }
  expect((await audit(replica.address, eventId)).body).toMatchObject({ sold_quantity: 0, consistent: true });
});

test.each([
  ['two Hosts', (bytes: string) => bytes.replace('Host: x', 'Host: x\r\nHost: y')],
  ['HTTP/2.0', (bytes: string) => bytes.replace('HTTP/1.1', 'HTTP/2.0')],
])('a purchase with %s buys nothing', async (_name, change) => {
  const eventId = await makeEvent(replica.address, { total_quota: 10, max_purchase_limit: 4 });
  expectProblem(await sendBytes(change(purchase(eventId, ''))), 400);
  expect((await audit(replica.address, eventId)).body).toMatchObject({ sold_quantity: 0, consistent: true });
});

test('a client that has shut down its side gets the answers to what it asked before', async () => {
  const eventId = await makeEvent(replica.address, { total_quota: 10, max_purchase_limit: 4 });
  const one = await sendBytes(purchase(eventId, ''));
  expect(one).toMatch(/^HTTP\/1.1 201 Created\r\n/);
  const answer = await sendBytes(purchase(eventId, '') + `GET /events/${eventId} HTTP/1.1\r\nHost: x\r\n\r\n` + purchase(eventId, ''));
  expect(answer.match(/HTTP\/1.1 \d+/g)).toEqual(['HTTP/1.1 201', 'HTTP/1.1 200', 'HTTP/1.1 201']);
  expect((await audit(replica.address, eventId)).body).toMatchObject({ sold_quantity: 6, consistent: true });
});

test('also when it has to wait, and then the answer is whole', async () => {
  const eventId = await makeEvent(replica.address, { total_quota: 10, max_purchase_limit: 4 });
  const client = await database.sql.connect();
  let answer: Promise<string>;
  try {
    await client.query('BEGIN');
    await client.query(`SELECT FROM events WHERE id = '${eventId}' FOR UPDATE`);
    const first = sendBytes(purchase(eventId, '')); // its batch waits for the row
    await untilWaiting(database.sql);
    answer = sendBytes(purchase(eventId, '')); // waits for the next batch
    await pause(500);
    await client.query('ROLLBACK');
    expect(await first).toMatch(/^HTTP\/1.1 201 Created\r\n/);
  } finally {
    client.release();
  }
  expect(await answer).toMatch(/^HTTP\/1.1 201 Created\r\nX-Request-Id: \S+\r\n[^]*\r\n\r\n\{"id":.*\}$/);
  expect((await audit(replica.address, eventId)).body).toMatchObject({ sold_quantity: 4, consistent: true });
});

test.each([
  ['one byte more than was announced', '!', true],
  ['a second request that ends before its end', 'POST /events HTTP/1.1\r\nHost: x\r\nContent-', false],
])('%s, and the purchase before it still gets its own answer', async (_name, rest, more) => {
  const eventId = await makeEvent(replica.address, { total_quota: 10, max_purchase_limit: 4 });
  const answer = await sendBytes(`${purchase(eventId, '')}${rest}`, more);
  expect(answer).toMatch(/^HTTP\/1.1 201 /);
  expect((await audit(replica.address, eventId)).body).toMatchObject({ sold_quantity: 2, consistent: true });
});
