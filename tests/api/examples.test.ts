/**
 * Goal: the examples of the document are real. A reader can send each example of a request, and gets what the examples of the answers show.
 * Method: the examples of the served document, held against its schemas, sent to a replica, and compared with its answers member by member.
 */
import { beforeAll, expect, test } from '@jest/globals';
import { catalogue, type ProblemCode } from '../../src/http/contract/problems.js';
import { makeEvent } from '../support/client.js';
import { useDatabase } from '../support/database.js';
import { patientSettings, type Replica } from '../support/replica.js';
import { call, nobody, publishedDocument } from './call.js';
import type { ApiDocument } from './document.js';

const database = useDatabase();
let replica: Replica;
let document: ApiDocument;

beforeAll(async () => {
  replica = await database.startReplica(patientSettings);
  document = await publishedDocument(replica.address);
});

interface Shown {
  /** As "POST /events/{event_id}/purchases". */
  readonly line: string;
  readonly status: string;
  readonly type: string;
  readonly name: string;
  readonly value: unknown;
  readonly pointer: readonly string[];
}

/** Every example of an answer. */
function shown(): Shown[] {
  return document.operations().flatMap(([method, path, { responses }]) =>
    Object.entries(responses).flatMap(([status, response]) =>
      Object.entries(response?.content ?? {}).flatMap(([type, { examples = {} }]) => {
        const pointer = ['paths', path, method.toLowerCase(), 'responses', status, 'content', type, 'schema'];
        return Object.entries(examples).map(([name, { value }]) => ({ line: `${method} ${path}`, status, type, name, value, pointer }));
      }),
    ),
  );
}

test('every operation has a name of its own, a summary and a description, and so has every tag', () => {
  const operations = document.operations().map(([, , operation]) => operation);
  const names = operations.map(({ operationId }) => operationId);
  expect(new Set(names).size).toBe(names.length);
  for (const { operationId, summary, description, tags } of operations) {
    expect(operationId).toMatch(/^[a-z]+([A-Z][a-z]+)*$/);
    expect([operationId, summary, description, tags]).toEqual([
      operationId,
      expect.stringMatching(/^[A-Z].+[^.]$/),
      expect.stringMatching(/^[A-Z].+\.$/s),
      [expect.stringMatching(/^(buyer|seller|admin|operations)$/)],
    ]);
  }
});

test('every answer with a body has an example, except web pages', () => {
  const without = document.operations().flatMap(([method, path, { responses }]) =>
    Object.entries(responses).flatMap(([status, response]) =>
      Object.entries(response?.content ?? {})
        .filter(([type, { examples = {} }]) => type !== 'text/html' && Object.keys(examples).length === 0)
        .map(([type]) => `${method} ${path} ${status} ${type}`),
    ),
  );
  expect(without).toEqual([]);
});

test('every example of an answer is of its schema', () => {
  const wrong = shown().flatMap(({ line, status, name, value, pointer }) =>
    document.errors(pointer, value).map((error) => ({ line, status, name, error })),
  );
  expect(wrong).toEqual([]);
  expect(shown().length).toBeGreaterThan(150);
});

test('every refusal that a description names has its example, with the title and the status of the catalogue', () => {
  for (const [method, path, { responses }] of document.operations()) {
    for (const [status, response] of Object.entries(responses).filter(([each]) => Number(each) >= 400)) {
      const named = [...(response?.description ?? '').matchAll(/`([a-z-]+)`: /g)].map(([, code]) => code);
      const examples = response?.content?.['application/problem+json']?.examples ?? {};
      expect([method, path, status, Object.keys(examples)]).toEqual([method, path, status, named]);
      for (const [code, { summary, value }] of Object.entries(examples)) {
        const entry = catalogue[code as ProblemCode];
        expect([summary, value]).toEqual([entry.title, expect.objectContaining({ code, status: Number(status), title: entry.title })]);
        expect(entry.status).toBe(Number(status));
      }
    }
  }
});

test('every refusal of the catalogue is in the document, and has a schema of its own', () => {
  const everywhere = new Set(shown().map(({ name }) => name));
  const anyOperation = ['not-found', 'method-not-allowed']; // those of no operation
  const codes = Object.keys(catalogue);
  expect(codes.filter((code) => !everywhere.has(code))).toEqual(anyOperation);
  for (const code of anyOperation) expect(document.content.info.description).toContain(`\`${code}\``);
  const { oneOf = [] } = document.content.components.schemas['Problem'] as { readonly oneOf?: readonly { readonly $ref: string }[] };
  const constants = oneOf.map((each) => {
    const { properties } = document.resolve(each) as unknown as { readonly properties: Record<string, { readonly const: unknown }> };
    return properties['code']?.const;
  });
  expect(constants.sort()).toEqual([...codes].sort());
});

/** An event with a hold, and what stands for it in the path. */
async function stage(path: string): Promise<string> {
  const eventId = await makeEvent(replica.address, { total_quota: 100, max_purchase_limit: 4, hold_seconds: 600 });
  const held = await call(replica.address, `POST /events/${eventId}/purchases`, { json: { quantity: 2, buyer_id: 'ann' } });
  if (/^\/admin\/.*(?:tickets\.csv|purchases|cancel)$/.test(path))
    await call(replica.address, `POST /events/${eventId}/purchases/${held.body.id}/confirm`, { admin: true });
  return path.replace('{event_id}', eventId).replace('{purchase_id}', held.body.id);
}

/** The members of a value, of its first element if it is a page, and so on. */
function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(shape);
  if (typeof value !== 'object' || value === null) return null;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, shape(member)]));
}

/** Of JSON its members, of CSV its columns, of anything else nothing. */
function shapeOf(type: string, value: unknown): unknown {
  return type === 'text/csv' ? String(value).split('\r\n')[0] : shape(value);
}

const requests = (): { readonly method: string; readonly path: string; readonly json: unknown }[] =>
  document.operations().flatMap(([method, path, { requestBody }]) => {
    const examples = requestBody?.content['application/json']?.examples ?? {};
    if (Object.keys(examples).length === 0) return [{ method, path, json: undefined }];
    return Object.values(examples).map(({ value }) => ({ method, path, json: value }));
  });

test('each example of a request is accepted, and answered as an example of the answer shows', async () => {
  const compared: string[] = [];
  for (const { method, path, json } of requests().filter((each) => each.path !== '/openapi.json')) {
    const reply = await call(replica.address, `${method} ${await stage(path)}`, { json, admin: !path.endsWith('/release') });
    expect([method, path, reply.status]).toEqual([method, path, method === 'POST' && !path.includes('{purchase_id}') ? 201 : 200]);
    const type = (reply.headers['content-type'] ?? '').replace(/;.*/, '');
    const ofAnswer = shown().filter(({ line, status }) => line === `${method} ${path}` && status === String(reply.status));
    const shapes = ofAnswer.filter((each) => each.type === type).map(({ value }) => shapeOf(type, value));
    if (type === 'text/html') continue;
    expect(shapes).toContainEqual(shapeOf(type, type.endsWith('json') ? reply.body : reply.text));
    compared.push(path);
  }
  expect(compared.length).toBeGreaterThan(18);
});

test.each([
  ['sold-out', 'POST /events/{id}/purchases', { quantity: 1 }],
  ['insufficient-availability', 'POST /events/{id}/purchases', { quantity: 3 }],
  ['purchase-limit-exceeded', 'POST /events/{id}/purchases', { quantity: 5 }],
  ['validation', 'POST /events/{id}/purchases', { quantity: 0, price: 5 }],
  ['event-not-found', `POST /events/${nobody}/purchases`, { quantity: 1 }],
  ['validation', 'GET /events?limit=500&sort=name', undefined],
  ['validation', 'POST /admin/events', { name: '', total_quota: 2, max_purchase_limit: 4 }],
  ['quota-fixed', 'PATCH /admin/events/{id}', { total_quota: 5 }],
  ['validation', 'PATCH /admin/events/{id}', { max_purchase_limit: 0 }],
  ['validation', 'GET /admin/events/{id}/purchases?status=paid', undefined],
  ['not-found', 'GET /tickets', undefined],
] as const)('the example of %s is what %s answers to %j, word for word', async (code, line, json) => {
  const eventId = await makeEvent(replica.address, { total_quota: 4, max_purchase_limit: 4, hold_seconds: 600 });
  const available = code === 'insufficient-availability' ? 1 : code === 'sold-out' ? 0 : undefined;
  if (available !== undefined) {
    // Two are held, and the others sold.
    await call(replica.address, `POST /events/${eventId}/purchases`, { json: { quantity: 2 } });
    await call(replica.address, `PATCH /admin/events/${eventId}`, { json: { hold_seconds: null } });
    await call(replica.address, `POST /events/${eventId}/purchases`, { json: { quantity: 2 - available } });
  }
  const { body } = await call(replica.address, line.replace('{id}', eventId), json && { json });
  expect(body.code).toBe(code);
  const [method = '', target = ''] = line.split(' ');
  const { path } = document.find(method, target.replace('{id}', nobody)) ?? {};
  const example = shown().find((each) => each.name === code && each.line === `${method} ${String(path)}`);
  if (code === 'not-found') expect(body.detail).toBe('There is nothing at /tickets; /openapi.json lists the paths.');
  else expect({ ...body, request_id: null }).toEqual({ ...(example?.value as object), request_id: null });
});

test('the page on retries names every answer after which a client repeats its request, and the key', () => {
  const { description } = document.content.info;
  expect(description).toContain('## Retries');
  const words = ['Idempotency-Key', 'Idempotency-Replayed', 'Retry-After', 'jitter', 'outcome-unknown', 'overloaded', '429', 'purchase_id'];
  expect(words.filter((word) => !description.includes(word))).toEqual([]);
  const codes = [...description.matchAll(/`([a-z]+(?:-[a-z]+)+)`/g)].map(([, code]) => String(code));
  expect(codes.filter((code) => !Object.hasOwn(catalogue, code))).toEqual([]);
});

test('what the operator configures is described too: the headers of a limited rate, and its refusal', async () => {
  const { address } = await database.startReplica({ CLIENT_REQUESTS_PER_MINUTE_MAX: '3' });
  await publishedDocument(address); // the first request
  const replies = [await call(address, 'GET /events'), await call(address, `GET /events/${nobody}`), await call(address, 'GET /events')];
  expect(replies.map(({ status }) => status)).toEqual([200, 404, 429]);
  for (const { headers } of replies) expect(Object.keys(headers)).toEqual(expect.arrayContaining(['ratelimit', 'ratelimit-policy']));
  expect(replies[2]?.headers['retry-after']).toMatch(/^[1-9]\d*$/);
});
