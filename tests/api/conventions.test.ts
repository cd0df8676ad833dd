/**
 * Goal: what holds for every route: media types, sizes, methods, unknown paths, request ids, names in any script.
 * Method: the routes of the contract in a table, each sent what it does not take.
 */
import { beforeAll, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { text as readText } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { makeEvent } from '../support/client.js';
import { useDatabase } from '../support/database.js';
import { adminToken, type Replica } from '../support/replica.js';
import { call, nobody, type Reply } from './call.js';
import { fingerprint } from './rows.js';

const database = useDatabase();
let replica: Replica;
let eventId: string;

beforeAll(async () => {
  replica = await database.startReplica();
  eventId = await makeEvent(replica.address, { total_quota: 1_000, max_purchase_limit: 4 });
});

const event = { name: 'x', total_quota: 10, max_purchase_limit: 4 };
const withBody: readonly (readonly [string, object])[] = [
  ['POST /events/{id}/purchases', { quantity: 1 }],
  ['POST /admin/events', event],
  ['PATCH /admin/events/{id}', { name: 'y' }],
];
const chunked = { 'Content-Type': 'application/json', 'Transfer-Encoding': 'chunked', Authorization: `Bearer ${adminToken}` };
const at = (line: string) => line.replace('{id}', eventId);

/** Sends to every route that takes a body; each refuses, and nothing is changed. */
async function expectRefused(status: number, code: string, send: (line: string, json: string) => Promise<Reply>): Promise<void> {
  const before = await fingerprint(database);
  for (const [line, body] of withBody) {
    const reply = await send(at(line), JSON.stringify(body));
    expect([line, reply.status, reply.body.code]).toEqual([line, status, code]);
  }
  expect(await fingerprint(database)).toEqual(before);
}

test.each([
  ['a form', 'application/x-www-form-urlencoded'],
  ['plain text', 'text/plain'],
  ['a multipart form', 'multipart/form-data; boundary=x'],
  ['XML', 'application/xml'],
  ['text that says json', 'text/json'],
  ['JSON of another kind', 'application/merge-patch+json'],
  ['JSON in Latin-1', 'application/json; charset=latin1'],
  ['JSON in UTF-16', 'application/json; charset="utf-16le"'],
  ['JSON in an unknown charset', 'application/json; charset=klingon'],
  ['no media type', 'json'],
  ['JSON in UTF-16 behind a parameter that looks like UTF-8', 'application/json; foo="; charset=utf-8"; charset=utf-16le'],
  ['JSON in UTF-16 behind an escaped quotation mark', 'application/json; foo="\\"; charset=utf-8"; charset="utf-16le"'],
  ['JSON in an escaped charset', 'application/json; charset="utf-\\16le"'],
])('%s is refused as 415', async (_name, type) => {
  await expectRefused(415, 'unsupported-media-type', (line, raw) =>
    call(replica.address, line, { raw, headers: { 'Content-Type': type } }),
  );
});

test.each(['gzip', 'deflate', 'br', 'zstd'])('a body in the encoding %s is refused as 415', async (encoding) => {
  await expectRefused(415, 'unsupported-media-type', (line, json) =>
    call(replica.address, line, { raw: gzipSync(json), headers: { 'Content-Encoding': encoding } }),
  );
});

test.each([
  'application/json',
  'application/json; charset=utf-8',
  'Application/JSON;charset=UTF-8',
  'application/json; charset="utf-8"',
  'application/json; foo="; charset=utf-16le"',
])('a body as %s is taken', async (type) => {
  for (const [line, body] of withBody) {
    const { status } = await call(replica.address, at(line), { raw: JSON.stringify(body), headers: { 'Content-Type': type } });
    expect([line, status]).toEqual([line, line.startsWith('POST') ? 201 : 200]);
  }
});

const bodyBytesMax = 4_096;

test.each([
  ['of one byte too many', 1],
  ['of 16 KiB', 16 * 1_024],
  ['of 1 MB', 1_000_000],
])('a body %s is refused as 413, and the answer says how many bytes it may have', async (_name, excess) => {
  await expectRefused(413, 'body-too-large', async (line, json) => {
    const reply = await call(replica.address, line, { raw: json.padEnd(bodyBytesMax + excess) });
    expect(reply.body.detail).toContain(String(bodyBytesMax));
    return reply;
  });
});

test('a body whose length is not announced is counted, and refused as 413 too', async () => {
  await expectRefused(413, 'body-too-large', async (line, json) => {
    const body = json.padEnd(bodyBytesMax + 1);
    const sending = httpRequest(replica.address + line.replace(/^\w+ /, ''), { method: line.split(' ')[0], headers: chunked });
    sending.end(body);
    const [response] = (await once(sending, 'response')) as [IncomingMessage];
    const text = await readText(response);
    return { status: response.statusCode!, headers: {}, text, body: JSON.parse(text) as Reply['body'] };
  });
});

test('the largest body is taken: 4 KiB', async () => {
  for (const [line, body] of withBody) {
    const { status } = await call(replica.address, at(line), { raw: JSON.stringify(body).padEnd(bodyBytesMax) });
    expect([line, status]).toEqual([line, line.startsWith('POST') ? 201 : 200]);
  }
});

test('a name of 200 characters is taken however it is escaped', async () => {
  const name = '🎟'.repeat(200);
  const raw = `{"name":"${'\\ud83c\\udf9f'.repeat(200)}","total_quota":10000000,"max_purchase_limit":1000}`;
  const { status, body } = await call(replica.address, 'POST /admin/events', { raw });
  expect([status, body['name']]).toEqual([201, name]);
});

test.each([
  ['letters', 'x'],
  ['letters of two bytes', 'ü'],
  ['emoji', '🎟'],
])('a name of 200 %s is taken and comes back as it was', async (_name, character) => {
  const name = character.repeat(200);
  const made = await call(replica.address, 'POST /admin/events', { json: { ...event, name } });
  expect([made.status, made.body['name']]).toEqual([201, name]);
  const shown = await call(replica.address, `GET /events/${made.body.id}`);
  expect(shown.body['name']).toBe(name);
});

test.each(["Robert'); DROP TABLE events;--", '<script>alert(1)</script>', '夜の部 – soirée', 'مساء', '👩‍👩‍👧‍👦', 'null', ' x '])(
  'a name is data and nothing else: %s',
  async (name) => {
    const { status, body, headers } = await call(replica.address, 'POST /admin/events', { json: { ...event, name } });
    expect([status, body['name'], headers['x-content-type-options']]).toEqual([201, name, 'nosniff']);
  },
);

test.each([
  '//',
  '//events',
  '//events/',
  '/events//',
  '/admin//events',
  '/nothing',
  '/nothing/',
  '/event',
  '/EVENTS',
  '/Admin/events',
  '/events/x/y',
  `/events/${nobody}/tickets`,
  '/admin/nothing',
  '/favicon.ico',
  '/docs/../package.json',
  '/.env',
])('there is nothing at %s: 404 not-found, by any method', async (path) => {
  for (const method of ['GET', 'POST', 'DELETE']) {
    const { status, body } = await call(replica.address, `${method} ${path}`, { admin: true });
    expect([method, status, body.code]).toEqual([method, 404, 'not-found']);
  }
});

const allowed: readonly (readonly [string, readonly string[]])[] = [
  ['/events', ['GET', 'HEAD', 'OPTIONS']],
  ['/events/{id}', ['GET', 'HEAD', 'OPTIONS']],
  ['/events/{id}/purchases', ['OPTIONS', 'POST']],
  [`/events/{id}/purchases/${nobody}`, ['GET', 'HEAD', 'OPTIONS']],
  ['/admin/events', ['GET', 'HEAD', 'OPTIONS', 'POST']],
  ['/admin/events/{id}', ['GET', 'HEAD', 'OPTIONS', 'PATCH']],
  ['/admin/events/{id}/audit', ['GET', 'HEAD', 'OPTIONS']],
  ['/healthz', ['GET', 'HEAD', 'OPTIONS']],
  ['/readyz', ['GET', 'HEAD', 'OPTIONS']],
  ['/metrics', ['GET', 'HEAD', 'OPTIONS']],
  ['/openapi.json', ['GET', 'HEAD', 'OPTIONS']],
  ['/docs', ['GET', 'HEAD', 'OPTIONS']],
  ['/', ['GET', 'HEAD', 'OPTIONS']],
];

const allowOf = ({ headers }: Reply) => (headers['allow'] ?? '').split(', ').sort();

test.each(allowed)('%s takes %j; every other method is 405 and says so, and OPTIONS says it too', async (path, methods) => {
  const before = await fingerprint(database);
  for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'PROPFIND', 'TRACE'].filter((each) => !methods.includes(each))) {
    const reply = await call(replica.address, `${method} ${at(path)}`);
    expect([method, reply.status, allowOf(reply)]).toEqual([method, 405, methods]);
    if (method !== 'HEAD') expect(reply.body.code).toBe('method-not-allowed');
  }
  const options = await call(replica.address, `OPTIONS ${at(path)}`);
  expect([options.status, allowOf(options), options.text || '']).toEqual([204, methods, '']);
  expect(await fingerprint(database)).toEqual(before);
});

test.each([
  '/events',
  '/events/{id}',
  '/admin/events',
  '/admin/events/{id}',
  '/healthz',
  '/readyz',
  '/openapi.json',
  '/docs',
  '/',
  '/events/',
  '/events/not-a-uuid',
  `/events/${nobody}`,
  '/nothing',
])('HEAD %s answers as GET does, with the length of its body and without a body', async (path) => {
  const headers = { 'X-Request-Id': 'the-same-for-both', 'Accept-Encoding': 'identity' };
  const ask = (method: string) => call(replica.address, `${method} ${at(path)}`, { headers });
  const [head, get] = [await ask('HEAD'), await ask('GET')];
  expect([head.status, head.headers['content-type']]).toEqual([get.status, get.headers['content-type']]);
  expect(head.headers['content-length']).toBe(String(Buffer.byteLength(get.text)));
  expect(get.headers['content-length']).toBe(head.headers['content-length']);
  expect(head.text || '').toBe('');
});

test.each(['abc', 'a-request-id_1.2:3', '0b0a7a04-6a1c-4d3c-9f5e-1f6f0a3a2b1c', 'x'.repeat(64)])(
  'a sane request id comes back: %s',
  async (id) => {
    for (const path of ['/healthz', '/events', '/nothing', '/events/x']) {
      const { headers } = await call(replica.address, `GET ${path}`, { headers: { 'X-Request-Id': id } });
      expect([path, headers['x-request-id']]).toEqual([path, id]);
    }
  },
);

test.each([
  ['empty', ''],
  ['with spaces', 'a b'],
  ['with markup', '<b>x</b>'],
  ['with quotes', '{"a":"b"}'],
  ['that is not ASCII', 'ä'],
  ['that is very long', 'x'.repeat(5_000)],
  ['sent twice', ['one', 'two']],
])('a request id %s is replaced by one of our own', async (_name, id) => {
  const send = () => call(replica.address, 'GET /nothing', { headers: { 'X-Request-Id': id } });
  const [one, other] = [await send(), await send()];
  expect(one.headers['x-request-id']).toMatch(/^[\w-]{16,64}$/);
  expect(one.headers['x-request-id']).not.toBe(other.headers['x-request-id']);
});
