/**
 * Goal: what is no request at all is still answered as the contract says an error is.
 * Method: bytes on a bare socket.
 */
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { audit, makeEvent } from '../helpers/client.js';
import { createTestDatabase, type TestDatabase } from '../helpers/database.js';
import { type Replica, startReplica } from '../helpers/replica.js';

let database: TestDatabase;
let replica: Replica;

beforeAll(async () => {
  database = await createTestDatabase();
  replica = await startReplica(database.url);
});
afterAll(async () => {
  await replica.close();
  await database.drop();
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

test.each([
  ['no HTTP', 'give me a ticket\r\n\r\n', 400],
  ['two lengths for one body', 'POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}', 400],
  ['headers without end', `GET /events HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
  ['an unknown expectation', 'GET /events HTTP/1.1\r\nHost: x\r\nExpect: magic\r\nConnection: close\r\n\r\n', 417],
])('%s is answered with problem+json', async (_name, bytes, status) => {
  const answer = await sendBytes(bytes);
  expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${String(status)} `));
  expect(answer).toMatch(/^X-Request-Id: \S+\r$/im);
  expect(answer).toMatch(/^Content-Type: application\/problem\+json\r$/im);
  const body = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)) as Record<string, unknown>;
  expect(body).toMatchObject({ status, code: 'validation' });
});

test.each([
  ['one byte more than was announced', '!', true],
  ['a second request that ends before its end', 'POST /events HTTP/1.1\r\nHost: x\r\nContent-', false],
])('%s, and the purchase before it still gets its own answer', async (_name, rest, more) => {
  const eventId = await makeEvent(replica.address, { total_quota: 10, max_purchase_limit: 4 });
  const body = '{"quantity":2}';
  const head = `POST /events/${eventId}/purchases HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`;
  const answer = await sendBytes(`${head}Content-Length: ${String(body.length)}\r\n\r\n${body}${rest}`, more);
  expect(answer).toMatch(/^HTTP\/1.1 201 /);
  expect((await audit(replica.address, eventId)).body).toMatchObject({ sold_quantity: 2, consistent: true });
});
