/**
 * Goal: the document describes every answer, whatever is sent; what it allows is accepted, what it does not allow is refused.
 * Method: for each operation of the served document random requests that are right, and requests with one thing wrong; the answers are
 * held against the document. FUZZ_SEED repeats a run, FUZZ_RUNS sends more.
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { useDatabase } from '../support/database.js';
import { claimsOf, signWithSecret } from '../support/issuer.js';
import { adminToken, type Replica } from '../support/replica.js';
import { nobody, publishedDocument, sendOnly } from './call.js';
import type { ApiDocument, Operation } from './document.js';
import { malformedIds, nearly, unknownMember, valuesOf, wrongMediaTypes } from './fuzzing.js';
import { openStage, secret, sellerToken, type Stage } from './fuzzStage.js';

const database = useDatabase();
const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000);
const numRuns = Number(process.env['FUZZ_RUNS'] ?? 6);

let stage: Stage;
let document: ApiDocument;

beforeAll(async () => {
  stage = await openStage(database);
  document = await publishedDocument(stage.replica.address);
}, 120_000);

interface Sent {
  readonly line: string;
  readonly headers: Record<string, string>;
  readonly json?: unknown;
  readonly raw?: string;
}

interface Answered {
  readonly status: number;
  readonly code: string | undefined;
  readonly messages: readonly string[];
}

/** Sends it, and checks what holds for every answer. */
async function answer({ address }: Replica, request: Sent): Promise<Answered> {
  const reply = await sendOnly(address, request.line, { ...request, admin: false });
  const [method = '', target = ''] = request.line.split(' ');
  const faults = document.undescribed(method, target, reply);
  if (reply.status >= 500 && reply.status !== 503) faults.push(`${request.line}: ${String(reply.status)}`);
  if (faults.length > 0) throw new Error(`${faults.join('\n')}\nof the answer ${String(reply.status)} ${reply.text.slice(0, 500)}`);
  const { code, errors = [] } = reply.status >= 400 ? reply.body : { code: undefined, errors: [] };
  return { status: reply.status, code, messages: errors.map(({ message }) => message) };
}

const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });

type Named = readonly [method: string, path: string, operation: Operation];
const operationNames = [
  ['getHome', 'getOpenApi', 'getDocs', 'getHealth', 'getReadiness', 'getMetrics'],
  ['listEvents', 'getEvent', 'buyTickets', 'getPurchase', 'confirmPurchase', 'releasePurchase'],
  ['listEventsAsAdmin', 'createEvent', 'getEventAsAdmin', 'auditEvent', 'listPurchases', 'downloadTickets'],
  ['cancelPurchase', 'changeEvent'], // last, because they change what others find
].flat();

function find(operationId: string): Named {
  return document.operations().find(([, , operation]) => operation.operationId === operationId)!;
}

/** A token that is enough. */
const tokenFor = (path: string) => (path.startsWith('/admin') ? adminToken : path.endsWith('/confirm') ? sellerToken : undefined);
const tokenHeaders = (path: string) => {
  const token = tokenFor(path);
  return token === undefined ? {} : bearer(token);
};
const bodySchema = ({ requestBody }: Operation) => requestBody?.content['application/json']?.schema;

const knownIds = fc.tuple(fc.nat(), fc.nat()).map(([event, purchase]) => ({ event, purchase }));
interface KnownIds {
  readonly event: number;
  readonly purchase: number;
}

function fill(path: string, { event, purchase }: KnownIds): string {
  const { events, purchases } = stage;
  const [eventId, purchaseId] = path.includes('{purchase_id}')
    ? purchases[purchase % purchases.length]!
    : [events[event % events.length]!, nobody];
  return path.replace('{event_id}', eventId).replace('{purchase_id}', purchaseId);
}

/** The parameters of one place, as text. */
function parameters({ parameters: all = [] }: Operation, place: 'query' | 'header'): fc.Arbitrary<Record<string, string>> {
  const ofPlace = all.filter((parameter) => parameter.in === place);
  const shape = Object.fromEntries(ofPlace.map(({ name, schema }) => [name, valuesOf(document, schema).map(String)]));
  return fc.record(shape, { requiredKeys: [], noNullPrototype: true }) as fc.Arbitrary<Record<string, string>>;
}

/** Requests that the document allows, to events and purchases that exist. */
function allowed([method, path, operation]: Named): fc.Arbitrary<Sent> {
  const schema = bodySchema(operation);
  const optional = operation.requestBody?.required !== true;
  const body =
    schema === undefined
      ? fc.constant(undefined)
      : optional
        ? fc.option(valuesOf(document, schema), { nil: undefined })
        : valuesOf(document, schema);
  return fc
    .tuple(knownIds, parameters(operation, 'query'), parameters(operation, 'header'), body, fc.constantFrom('', '/'))
    .map(([ids, query, headers, json, slash]) => {
      const search = new URLSearchParams(query).toString();
      const target = `${fill(path, ids)}${path === '/' ? '' : slash}${search === '' ? '' : `?${search}`}`;
      return { line: `${method} ${target}`, headers: { ...headers, ...tokenHeaders(path) }, ...(json !== undefined && { json }) };
    });
}

/** What JSON Schema cannot say, and the descriptions do. */
const beyondSchemas =
  /^(must be later than sale_starts_at|must not exceed total_quota, which is \d+|must be between the years 1970 and 9999)$/;

async function forEach<T>(values: fc.Arbitrary<T>, check: (value: T) => Promise<void>, runs = numRuns): Promise<void> {
  await fc.assert(fc.asyncProperty(values, check), { seed, numRuns: runs, endOnFailure: true });
}

test('each operation of the document is asked here', () => {
  expect([...operationNames].sort()).toEqual(
    document
      .operations()
      .map(([, , { operationId }]) => operationId)
      .sort(),
  );
});

describe(`with FUZZ_SEED=${String(seed)}`, () => {
  test.each(operationNames)('%s: a request that the document allows is understood, and its answer described', async (id) => {
    await forEach(
      allowed(find(id)),
      async (request) => {
        const { status, messages } = await answer(stage.replica, request);
        expect([401, 404, 413, 415]).not.toContain(status);
        if (status === 400) expect(messages).toEqual(messages.map(() => expect.stringMatching(beyondSchemas)));
      },
      2 * numRuns,
    );
  });

  test.each(operationNames)('%s: whatever is sent to it, with or without a body, is answered as described', async (id) => {
    const [method, path] = find(id);
    const garbage = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.constantFrom('{', '[]', 'null', '{"quantity":1}{}', '\u0000', ' '),
    );
    await forEach(fc.tuple(knownIds, fc.option(garbage, { nil: undefined })), async ([ids, raw]) => {
      const headers = { ...tokenHeaders(path), ...(raw !== undefined && { 'Content-Type': 'application/json' }) };
      await answer(stage.replica, { line: `${method} ${fill(path, ids)}`, headers, ...(raw !== undefined && method !== 'GET' && { raw }) });
    });
  });

  test.each(operationNames)('%s: with one thing wrong it is refused, as described', async (id) => {
    const found = find(id);
    const [method, path, operation] = found;
    const schema = bodySchema(operation);
    if (schema !== undefined) {
      const wrong = (body: fc.Arbitrary<unknown>) => fc.tuple(allowed(found), body).map(([request, json]): Sent => ({ ...request, json }));
      await forEach(wrong(nearly(document, schema)), async (request) => {
        const pointer = ['paths', path, method.toLowerCase(), 'requestBody', 'content', 'application/json', 'schema'];
        const valid = document.errors(pointer, JSON.parse(JSON.stringify(request.json))).length === 0;
        const { status } = await answer(stage.replica, request);
        if (!valid) expect([400, 413, 422]).toContain(status);
      }, 4 * numRuns); // prettier-ignore
      await forEach(wrong(unknownMember(document, schema)), async (request) => {
        expect(await answer(stage.replica, request)).toMatchObject({
          status: 400,
          messages: expect.arrayContaining(['is not a known field']),
        });
      });
      await forEach(fc.tuple(allowed(found), wrongMediaTypes), async ([request, type]) => {
        const headers = { ...request.headers, 'Content-Type': type };
        expect((await answer(stage.replica, { ...request, headers, json: request.json ?? {} })).status).toBe(415);
      });
      await forEach(allowed(found), async (request) => {
        expect((await answer(stage.replica, { ...request, json: undefined, raw: `{"x":"${'x'.repeat(5_000)}"}` })).status).toBe(413);
      }, 1); // prettier-ignore
    }
    if (path.includes('{')) await wrongIds(found);
    if (operation.parameters?.some((parameter) => parameter.in === 'query') === true) await wrongParameters(found);
    if (operation.security?.every((way) => Object.keys(way).length > 0) === true) await wrongTokens(found);
  });

  test.each(['buyTickets', 'getPurchase', 'releasePurchase'])('%s: where buyers need tokens, the answers are described too', async (id) => {
    const [ann, late] = [await signWithSecret(secret, claimsOf('ann')), await signWithSecret(secret, claimsOf('ann', { exp: 1 }))];
    const found = find(id);
    const refused = [bearer(late), bearer('x'), bearer(`${ann}x`)];
    await forEach(fc.tuple(allowed(found), fc.constantFrom(...refused)), async ([request, headers]) => {
      expect((await answer(stage.withTokens, { ...request, headers: { ...request.headers, ...headers } })).status).toBe(401);
    });
    const accepted = fc.constantFrom(bearer(ann), bearer(sellerToken), bearer(adminToken));
    await forEach(fc.tuple(allowed(found), accepted), async ([request, headers]) => {
      expect((await answer(stage.withTokens, { ...request, headers: { ...request.headers, ...headers } })).status).not.toBe(401);
    });
    await forEach(allowed(found), async (request) => {
      expect((await answer(stage.withTokens, request)).status).toBe(id === 'getPurchase' ? 404 : 401);
    });
  });
});

async function wrongIds(found: Named): Promise<void> {
  const [, path] = found;
  const names = path.match(/\{\w+\}/g)!;
  await forEach(fc.tuple(allowed(found), fc.constantFrom(...names), malformedIds), async ([request, name, id]) => {
    const [method, target = ''] = request.line.split(' ');
    const parts = target.split('/');
    parts[path.split('/').indexOf(name)] = id;
    const { status, messages } = await answer(stage.replica, { ...request, line: `${String(method)} ${parts.join('/')}` });
    expect([request.line, id, status]).toEqual([request.line, id, 400]);
    expect(messages.length).toBeGreaterThan(0);
  });
  await forEach(fc.tuple(allowed(found), fc.uuid()), async ([request, id]) => {
    const [method, target = ''] = request.line.split(' ');
    const parts = target.split('/');
    parts[path.split('/').indexOf('{event_id}')] = id;
    const { status, messages } = await answer(stage.replica, { ...request, line: `${String(method)} ${parts.join('/')}` });
    if (status === 400) expect(messages).toEqual(messages.map(() => expect.stringMatching(beyondSchemas)));
    else expect(status).toBe(404);
  });
}

async function wrongParameters(found: Named): Promise<void> {
  const [, path, { parameters: all = [] }] = found;
  const query = all.filter((parameter) => parameter.in === 'query');
  const wrong = fc.constantFrom(
    'limit=0',
    'limit=101',
    'limit=x',
    'limit=',
    'limit=1&limit=2',
    'cursor=x',
    'cursor=',
    'sort=name',
    'Limit=1',
    '=1',
  );
  await forEach(fc.tuple(knownIds, wrong), async ([ids, search]) => {
    const { status, messages } = await answer(stage.replica, { line: `GET ${fill(path, ids)}?${search}`, headers: tokenHeaders(path) });
    expect([search, status]).toEqual([search, 400]);
    if (!query.some(({ name }) => search.startsWith(`${name}=`))) expect(messages).toEqual(['is not a known parameter']);
  });
}

async function wrongTokens(found: Named): Promise<void> {
  const [, path] = found;
  const insufficient = path.startsWith('/admin') ? [`Bearer ${sellerToken}`] : [];
  const wrong = fc.oneof(
    fc.constantFrom(
      undefined,
      '',
      'Bearer',
      'Bearer ',
      `Basic ${adminToken}`,
      adminToken,
      `Bearer ${adminToken}x`,
      `Bearer x ${adminToken}`,
      ...insufficient,
    ),
    fc.stringMatching(/^Bearer [!-~]{1,40}$/),
  );
  await forEach(fc.tuple(allowed(found), wrong), async ([request, authorization]) => {
    const others = Object.fromEntries(Object.entries(request.headers).filter(([name]) => name !== 'Authorization'));
    const sent = { ...request, headers: { ...others, ...(authorization !== undefined && { Authorization: authorization }) } };
    expect((await answer(stage.replica, sent)).status).toBe(401);
  });
}
