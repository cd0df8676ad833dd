/**
 * Goal: whoever opens the address of a replica finds what it serves, as a page or as JSON; and a slash at the end of a path changes nothing.
 * Method: `/` with the Accept headers of real clients, on replicas that serve more and less; every documented operation with and
 * without a slash at its end.
 */
import { createHash } from 'node:crypto';
import { afterEach, beforeAll, expect, test } from '@jest/globals';
import { buy, changeEvent, makeEvent, send } from '../support/client.js';
import { useDatabase } from '../support/database.js';
import { patientSettings, type Replica, startReplica } from '../support/replica.js';
import { call, nobody, publishedDocument, type Reply } from './call.js';

const database = useDatabase();
let replica: Replica;
let other: Replica | undefined;

beforeAll(async () => {
  replica = await database.startReplica(patientSettings);
});
afterEach(async () => {
  await other?.close();
  other = undefined;
});

const get = (accept: string | undefined) => call(replica.address, 'GET /', { headers: accept === undefined ? {} : { Accept: accept } });
const typeOf = ({ headers }: Reply) => (headers['content-type'] ?? '').replace(/;.*/, '');

test.each([
  ['Firefox', 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', 'text/html'],
  ['curl', '*/*', 'text/html'],
  ['a client without Accept', undefined, 'text/html'],
  ['a client that takes pictures', 'image/png', 'text/html'],
  ['axios', 'application/json, text/plain, */*', 'application/json'],
  ['a client of JSON', 'application/json', 'application/json'],
  ['a client that prefers JSON', 'text/html;q=0.5, application/json', 'application/json'],
  ['a client that prefers HTML', 'text/html, application/json;q=0.5', 'text/html'],
])('%s gets what it prefers', async (_name, accept, type) => {
  const reply = await get(accept);
  expect([reply.status, typeOf(reply), reply.headers['vary']]).toEqual([200, type, 'Accept']);
});

const linksOf = (text: string) => [...text.matchAll(/<a href="([^"]*)"/g)].map(([, target]) => String(target));

test('the page leads to the events, the documentation and readiness, and each is there', async () => {
  const { text } = await get('text/html');
  expect(linksOf(text)).toEqual(['/events', '/docs', '/readyz']);
  for (const path of linksOf(text)) expect([path, (await call(replica.address, `GET ${path}`)).status]).toEqual([path, 200]);
  const { body } = await get('application/json');
  expect(body).toEqual({ name: 'onsale', events: '/events', docs: '/docs', openapi: '/openapi.json', readyz: '/readyz' });
});

test('the page has no script, and the browser may load nothing but its own style', async () => {
  const { headers, text } = await get('text/html');
  expect(text).not.toMatch(/<script|javascript:|\son\w+=|\sstyle=|https?:/i);
  const policy = (headers['content-security-policy'] ?? '').split(';');
  expect(policy).toContain("default-src 'none'");
  const [, style] = /<style>([^]*)<\/style>/.exec(text)!;
  expect(policy).toContain(`style-src 'sha256-${createHash('sha256').update(style!).digest('base64')}'`);
  expect(headers['content-security-policy']).not.toMatch(/unsafe|script-src|\*/);
});

test.each([
  ['without documentation', { DOCS: 'off' }, ['/events', '/readyz'], ['name', 'events', 'readyz']],
  ['with probes on another port', { OPERATIONS_PORT: '0' }, ['/events', '/docs'], ['name', 'events', 'docs', 'openapi']],
  ['with neither', { DOCS: 'off', OPERATIONS_PORT: '0' }, ['/events'], ['name', 'events']],
])('a replica %s leads to nothing that it does not serve', async (_name, env, links, members) => {
  other = await startReplica(database.url, env);
  const page = await fetch(other.address, { headers: { Accept: 'text/html' } });
  expect(linksOf(await page.text())).toEqual(links);
  const { body } = await send(other.address, { headers: { Accept: 'application/json' } });
  expect(Object.keys(body)).toEqual(members);
});

test('the port of the probes has no page', async () => {
  other = await startReplica(database.url, { OPERATIONS_PORT: '0' });
  expect((await send(`${other.operationsAddress}/`)).status).toBe(404);
});

test('the document of a replica whose probes are on another port does not have them', async () => {
  other = await startReplica(database.url, { OPERATIONS_PORT: '0' });
  const { content } = await publishedDocument(other.address);
  expect(Object.keys(content.paths).filter((path) => ['/healthz', '/readyz', '/metrics'].includes(path))).toEqual([]);
  expect(Object.keys(content.paths)).toContain('/events');
});

/** Of an answer, without what differs from request to request. */
const comparable = ({ status, headers, body }: Reply) => {
  const { date, 'x-request-id': id, 'content-length': length, ...others } = headers;
  expect([typeof date, typeof id]).toEqual(['string', 'string']);
  return { status, others, length: length === undefined, members: Object.keys(body) };
};

test('every documented path answers with a slash at its end as it does without', async () => {
  const eventId = await makeEvent(replica.address, { total_quota: 1_000, max_purchase_limit: 4 });
  const operations = (await publishedDocument(replica.address)).operations().filter(([, path]) => path !== '/');
  expect(operations.length).toBeGreaterThan(15);
  for (const [method, path, { requestBody }] of operations) {
    const target = path.replace('{event_id}', eventId).replace('{purchase_id}', nobody);
    const [example] = Object.values(requestBody?.content['application/json']?.examples ?? {});
    const ask = (slash: string) => call(replica.address, `${method} ${target}${slash}`, example && { json: example.value });
    const [without, withSlash] = [await ask(''), await ask('/')];
    if (example && !path.includes('purchase_id') && !path.startsWith('/admin/events/')) expect([path, without.status]).toEqual([path, 201]);
    const located = (reply: Reply) => JSON.stringify(comparable(reply)).replace(/[0-9a-f-]{36}/g, 'id');
    expect([method, path, located(withSlash)]).toEqual([method, path, located(without)]);
  }
});

test('a list takes its parameters behind the slash too, and an unknown one is called a parameter', async () => {
  const { status, body } = await call(replica.address, 'GET /events/?limit=1');
  expect([status, body.data.length]).toEqual([200, 1]);
  const refused = await call(replica.address, 'GET /events/?sort=name');
  expect(refused).toMatchObject({ status: 400, body: { detail: 'sort is not a known parameter.' } });
  expect(refused.body.errors).toEqual([{ in: 'query', path: 'sort', message: 'is not a known parameter' }]);
  const field = await call(replica.address, `POST /events/${nobody}/purchases/`, { json: { quantity: 1, price: 1 } });
  expect(field.body.errors).toEqual([{ in: 'body', path: 'price', message: 'is not a known field' }]);
});

test('a limit above the quota is refused by name, when an event is made and when it is changed', async () => {
  const message = 'max_purchase_limit must not exceed total_quota, which is 3.';
  const event = { name: 'x', total_quota: 3, max_purchase_limit: 4 };
  const made = await call(replica.address, 'POST /admin/events', { json: event });
  expect(made).toMatchObject({ status: 400, body: { code: 'validation', detail: message } });
  const eventId = await makeEvent(replica.address, { ...event, max_purchase_limit: 3 });
  const changed = await changeEvent(replica.address, eventId, { max_purchase_limit: 4 });
  expect(changed).toMatchObject({ status: 400, body: { code: 'validation', detail: message } });
});

test('a probe with a slash at its end is not limited either', async () => {
  other = await startReplica(database.url, { CLIENT_REQUESTS_PER_MINUTE_MAX: '2' });
  for (let sent = 0; sent < 4; sent += 1) {
    for (const path of ['/healthz', '/healthz/']) expect([path, (await send(other.address + path)).status]).toEqual([path, 200]);
  }
  const statuses = [];
  for (let sent = 0; sent < 3; sent += 1) statuses.push((await send(`${other.address}/events/`)).status);
  expect(statuses).toEqual([200, 200, 429]);
});

test('a purchase whose path ends in a slash is found where its Location says', async () => {
  const eventId = await makeEvent(replica.address, { total_quota: 2, max_purchase_limit: 2 });
  const { status, headers } = await call(replica.address, `POST /events/${eventId}/purchases/`, { json: { quantity: 1 } });
  expect(status).toBe(201);
  expect((await call(replica.address, `GET ${String(headers['location'])}/`)).body).toMatchObject({ event_id: eventId, quantity: 1 });
  expect((await buy(replica.address, eventId, 2)).body.code).toBe('insufficient-availability');
});
