/**
 * Goal: the OpenAPI document says what the program does, and /docs shows it without anything from elsewhere.
 * Method: a validator that is not ours; the routes that Express has against the paths that the document has; and the
 * check that `call` makes on every answer of these tests, shown to be able to fail.
 */
import { beforeAll, expect, test } from '@jest/globals';
import { Validator } from '@seriousme/openapi-schema-validator';
import { makeEvent } from '../support/client.js';
import { useDatabase } from '../support/database.js';
import type { Replica } from '../support/replica.js';
import { call, expectDocumented, nobody, noRules, publishedDocument } from './call.js';
import type { ApiDocument, Schema } from './document.js';

const database = useDatabase();
let replica: Replica;
let document: ApiDocument;
let eventId: string;

beforeAll(async () => {
  replica = await database.startReplica();
  document = await publishedDocument(replica.address);
  eventId = await makeEvent(replica.address, { total_quota: 10, max_purchase_limit: 4 });
});

/** As "GET /events". */
function documentedOperations(): string[] {
  return document.operations().map(([method, path]) => `${method} ${path}`);
}

interface Layer {
  readonly route?: { readonly path: string; readonly methods: Readonly<Record<string, boolean>> };
  readonly handle: { readonly stack?: readonly Layer[] };
  readonly slash: boolean;
}

/** What Express would call a handler for, as the document writes it; only the admin's routers are mounted below a path. */
function registeredOperations(stack: readonly Layer[], prefix = ''): string[] {
  return stack.flatMap(({ route, handle, slash }) => {
    if (!route) return registeredOperations(handle.stack ?? [], slash ? prefix : '/admin');
    const methods = Object.keys(route.methods).filter((method) => !method.startsWith('_'));
    return methods.map((method) => `${method.toUpperCase()} ${prefix}${route.path.replace(/:(\w+)/g, '{$1}')}`);
  });
}

test('the document is valid OpenAPI 3.1', async () => {
  const { text, headers } = await call(replica.address, 'GET /openapi.json');
  expect(headers['content-type']).toMatch(/^application\/json/);
  const validator = new Validator();
  expect(await validator.validate(JSON.parse(text) as Record<string, unknown>)).toEqual({ valid: true });
  expect(validator.version).toBe('3.1');
  expect(() => validator.resolveRefs()).not.toThrow();
});

test('the document has every route that there is, and no other', () => {
  const stack = (replica.app as unknown as { router: { stack: readonly Layer[] } }).router.stack;
  // The assets of the page are no part of the API.
  const registered = registeredOperations(stack).filter((line) => !line.startsWith('GET /docs/'));
  expect(registered.length).toBeGreaterThan(10);
  expect(documentedOperations().sort()).toEqual(registered.sort());
});

test('every documented operation answers: neither is its path unknown nor its method wrong', async () => {
  for (const line of documentedOperations()) {
    const { status, body } = await call(replica.address, line.replace('{event_id}', eventId).replace(/\{\w+\}/, nobody));
    expect([line, status, body.code]).not.toEqual([line, 404, 'not-found']);
    expect([line, status]).not.toEqual([line, 405]);
  }
});

test('the operations of the contract are there', () => {
  expect(documentedOperations()).toEqual(
    expect.arrayContaining([
      'POST /admin/events',
      'GET /admin/events',
      'GET /admin/events/{event_id}',
      'PATCH /admin/events/{event_id}',
      'GET /admin/events/{event_id}/audit',
      'GET /events',
      'GET /events/{event_id}',
      'POST /events/{event_id}/purchases',
      'GET /events/{event_id}/purchases/{purchase_id}',
      'POST /events/{event_id}/purchases/{purchase_id}/confirm',
      'POST /events/{event_id}/purchases/{purchase_id}/release',
      'GET /healthz',
      'GET /readyz',
      'GET /metrics',
      'GET /openapi.json',
      'GET /docs',
    ]),
  );
});

/** Each way of being allowed to call an operation, `nobody` without a token. */
function callersOf(line: string): string[] {
  if (line.includes(' /admin/')) return ['adminToken'];
  if (line.endsWith('/confirm')) return ['sellerToken', 'adminToken'];
  return line.includes('/purchases') ? ['nobody', 'buyerToken', 'sellerToken', 'adminToken'] : ['nobody'];
}

test('each operation names the tokens that it takes: the admin, the seller, or anybody and buyers who have one', () => {
  for (const [method, path, { security = [{}] }] of document.operations()) {
    const line = `${method} ${path}`;
    expect([line, security.map((way) => Object.keys(way).join() || 'nobody')]).toEqual([line, callersOf(line)]);
  }
});

const purchase = '/events/{event_id}/purchases/{purchase_id}';

test.each([
  [
    'post',
    '/events/{event_id}/purchases',
    [
      '400 validation',
      '401 unauthorized',
      '404 event-not-found',
      '409 sold-out',
      '409 insufficient-availability',
      '409 sale-not-started',
      '409 sale-ended',
      '409 buyer-limit-exceeded',
      '413 body-too-large',
      '415 unsupported-media-type',
      '422 purchase-limit-exceeded',
      '422 buyer-required',
      '422 buyer-mismatch',
      '422 idempotency-key-reused',
    ],
  ],
  ['get', purchase, ['400 validation', '404 purchase-not-found']],
  [
    'post',
    `${purchase}/confirm`,
    ['400 validation', '401 unauthorized', '404 purchase-not-found', '409 hold-expired', '409 hold-released', '409 purchase-cancelled'],
  ],
  [
    'post',
    `${purchase}/release`,
    ['400 validation', '404 event-not-found', '404 purchase-not-found', '409 purchase-confirmed', '409 purchase-cancelled'],
  ],
  ['patch', '/admin/events/{event_id}', ['400 validation', '401 unauthorized', '404 event-not-found', '422 quota-fixed']],
])('the document names the refusals of %s %s', (method, path, refusals) => {
  const responses = document.content.paths[path]?.[method]?.responses ?? {};
  for (const refusal of [...refusals, '503 overloaded', ...(method === 'get' ? [] : ['503 outcome-unknown'])]) {
    const [status = '', code = ''] = refusal.split(' ');
    expect([refusal, responses[status]?.description]).toEqual([refusal, expect.stringContaining(`\`${code}\``)]);
    expect(Object.keys(responses[status]?.content ?? {})).toEqual(['application/problem+json']);
  }
});

test('the document shows the rules that an event takes, each of which may be null but the limit', () => {
  for (const name of ['NewEvent', 'EventChange', 'Event']) {
    const { properties = {} } = document.content.components.schemas[name] as { properties?: Record<string, object> };
    for (const rule of Object.keys(noRules)) {
      expect([name, rule, JSON.stringify(properties[rule])]).toEqual([name, rule, expect.stringContaining('"null"')]);
    }
    expect(JSON.stringify(properties['max_purchase_limit'])).not.toContain('"null"');
  }
});

test('an action has an optional body without members, and the statuses of a purchase are listed', () => {
  for (const action of ['confirm', 'release']) {
    const body = (document.content.paths[`${purchase}/${action}`]?.['post'] as unknown as { requestBody: object }).requestBody;
    expect(body).toMatchObject({ content: { 'application/json': {} } });
    expect((body as { required?: boolean }).required ?? false).toBe(false);
  }
  expect(JSON.stringify(document.content.components.schemas['Purchase'])).toContain(
    '["held","confirmed","released","expired","cancelled"]',
  );
});

test.each([
  ['post', '/admin/events', 201, 'Location'],
  ['post', '/events/{event_id}/purchases', 201, 'Location'],
  ['post', '/events/{event_id}/purchases', 201, 'Idempotency-Replayed'],
  ['post', '/events/{event_id}/purchases', 503, 'Retry-After'],
  ['get', '/admin/events', 401, 'WWW-Authenticate'],
])('the document says that %s %s answers %d with %s', (method, path, status, header) => {
  const response = document.content.paths[path]?.[method]?.responses[String(status)];
  expect(Object.keys(response?.headers ?? {})).toContain(header);
});

/** The paths of the members below `schema` that do not say what they are. */
function untyped(schema: Schema, path: string): string[] {
  const { type, $ref, properties = {}, items } = schema;
  const alternatives = (schema['anyOf'] ?? schema['oneOf'] ?? []) as Schema[];
  const own = type === undefined && $ref === undefined && alternatives.length === 0 ? [path] : [];
  const members = Object.entries(properties as Record<string, Schema>).flatMap(([name, member]) => untyped(member, `${path}.${name}`));
  const each = alternatives.flatMap((alternative) => untyped(alternative, `${path}|`));
  return [...own, ...members, ...each, ...(items === undefined ? [] : untyped(items as Schema, `${path}[]`))];
}

test('every member of every schema has a type, so that generated clients have one too', () => {
  expect(Object.entries(document.content.components.schemas).flatMap(([name, schema]) => untyped(schema, name))).toEqual([]);
});

test('an answer that the document does not describe would be noticed', async () => {
  const line = `GET /events/${eventId}`;
  const good = await call(replica.address, line);
  const bad = [
    { ...good, status: 418 },
    { ...good, headers: { ...good.headers, 'content-type': 'text/html' } },
    { ...good, body: { ...good.body, available_quantity: '10' } },
    { ...good, body: { ...good.body, name: undefined } },
    { ...good, body: { ...good.body, remaining: 1 } },
    { ...good, headers: { ...good.headers, 'x-debug': '1' } },
    { ...good, headers: { ...good.headers, 'cache-control': 'public' } },
    { ...good, headers: Object.fromEntries(Object.entries(good.headers).filter(([name]) => name !== 'x-request-id')) },
  ];
  for (const reply of bad) await expect(expectDocumented(replica.address, line, reply)).rejects.toThrow();

  const missing = `GET /events/${nobody}`;
  const refusal = await call(replica.address, missing);
  const wrong = [
    { ...refusal, body: { ...refusal.body, code: 'purchase-not-found' } },
    { ...refusal, body: { ...refusal.body, status: 400 } },
    { ...refusal, body: { ...refusal.body, hint: 'a member that the example does not have' } },
  ];
  for (const reply of wrong) await expect(expectDocumented(replica.address, missing, reply)).rejects.toThrow();
});

test('/docs loads what it needs from here, and everything it names is there', async () => {
  const { status, headers, text } = await call(replica.address, 'GET /docs');
  expect([status, headers['content-type']]).toEqual([200, expect.stringMatching(/^text\/html/)]);
  const assets = [...text.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, url]) => String(url));
  expect(assets.length).toBeGreaterThanOrEqual(2);
  for (const url of assets) {
    expect(url).toMatch(/^\/docs\/[\w.-]+$/);
    const asset = await call(replica.address, `GET ${url}`);
    expect([url, asset.status]).toEqual([url, 200]);
    expect(asset.headers['content-type']).toMatch(url.endsWith('.css') ? /^text\/css/ : /^(text|application)\/javascript/);
  }
  const start = await call(replica.address, 'GET /docs/start.js');
  expect(start.text).toContain('/openapi.json');
});

test('/docs lets the browser load nothing from elsewhere, and its styles do not try', async () => {
  const { headers, text } = await call(replica.address, 'GET /docs');
  const policy = (headers['content-security-policy'] ?? '').split(/ *; */);
  for (const directive of ["default-src 'self'", "script-src 'self'"]) expect(policy).toContain(directive);
  expect(text).not.toMatch(/https?:|\/\//);
  const styles = await call(replica.address, 'GET /docs/swagger-ui.css');
  const targets = [...styles.text.matchAll(/(?:url\(|@import)\s*["']?([^"')]{0,20})/g)].map(([, target]) => String(target));
  expect(targets.filter((target) => !target.startsWith('data:'))).toEqual([]);
});
