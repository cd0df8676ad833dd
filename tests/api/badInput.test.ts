/**
 * Goal: what is malformed is refused by name and changes nothing, whatever it is.
 * Method: tables of bodies, values and ids; after each one the rows are as they were before it.
 */
import { beforeAll, beforeEach, afterEach, expect, test } from '@jest/globals';
import { makeEvent } from '../support/client.js';
import { useDatabase } from '../support/database.js';
import type { Replica } from '../support/replica.js';
import { call, nobody, type Options, type Reply } from './call.js';
import { fingerprint, type Fingerprint } from './rows.js';

const database = useDatabase();
let replica: Replica;
let eventId: string;
let before: Fingerprint;

beforeAll(async () => {
  replica = await database.startReplica();
  eventId = await makeEvent(replica.address, { total_quota: 1_000, max_purchase_limit: 1_000 });
});

beforeEach(async () => {
  before = await fingerprint(database);
});

afterEach(async () => {
  expect(await fingerprint(database)).toEqual(before);
});

const good = { name: 'x', total_quota: 10, max_purchase_limit: 4 };
const buy = (options: Options) => call(replica.address, `POST /events/${eventId}/purchases`, options);
const make = (options: Options) => call(replica.address, 'POST /admin/events', options);
const change = (options: Options) => call(replica.address, `PATCH /admin/events/${eventId}`, options);

/** @param paths of the offending members, in order */
function expectInvalid(reply: Reply, place: string, paths: readonly string[]): void {
  expect([reply.status, reply.body.code]).toEqual([400, 'validation']);
  for (const error of reply.body.errors)
    expect(error).toEqual({ in: place, path: expect.any(String), message: expect.stringMatching(/./) });
  expect([...new Set(reply.body.errors.map((error) => error.path))]).toEqual(paths);
  for (const path of paths) expect(reply.body.detail).toContain(path);
}

test.each([
  ['0', '0'],
  ['-1', '-1'],
  ['-0', '-0'],
  ['1.5', '1.5'],
  ['a half', '0.5'],
  ['a string', '"2"'],
  ['an empty string', '""'],
  ['null', 'null'],
  ['true', 'true'],
  ['a list', '[2]'],
  ['an object', '{"$gt":0}'],
  ['-1e18', '-1e18'],
  ['a number beyond all numbers', '1e400'],
  ['a number too small to be one', '1e-400'],
  ['almost one', '0.99999999999999999999'],
  ['a little more than one', '1.00000000000000000001'],
  ['almost two, with an exponent', '19999999999999999999.9e-19'],
  ['more digits than a double has, after an exponent', '10000000000000000000001e-22'],
])('a quantity of %s is refused', async (_name, text) => {
  expectInvalid(await buy({ raw: `{"quantity":${text}}` }), 'body', ['quantity']);
});

test.each(['1.0', '1.000', '1e0', '1E+0', '10e-1', '0.1e1', '0.10e1', '1000000000000000000000000e-24'])(
  'a quantity of %s is a way to write one',
  async (text) => {
    const { status, body } = await buy({ raw: `{"quantity":${text}}` });
    expect([status, body['quantity']]).toEqual([201, 1]);
    before = await fingerprint(database);
  },
);

test('what would be rounded to a whole number is refused in an event too, and in a name it is text', async () => {
  expectInvalid(await make({ raw: '{"name":"x","total_quota":9.99999999999999999999,"max_purchase_limit":4}' }), 'body', ['total_quota']);
  expectInvalid(await change({ raw: '{"max_purchase_limit":3.99999999999999999999}' }), 'body', ['max_purchase_limit']);
  const { status, body } = await make({ raw: '{"name":"\\"0.99999999999999999999","total_quota":1e1,"max_purchase_limit":4}' });
  expect([status, body['name'], body['total_quota']]).toEqual([201, '"0.99999999999999999999', 10]);
  before = await fingerprint(database);
});

test.each([
  ['1e18', '1e18'],
  ['2^31', '2147483648'],
  ['2^53 + 1', '9007199254740993'],
  ['forty digits', '1'.repeat(40)],
])('a quantity of %s is a whole number above the limit', async (_name, text) => {
  const { status, body } = await buy({ raw: `{"quantity":${text}}` });
  expect([status, body.code, body['max_purchase_limit']]).toEqual([422, 'purchase-limit-exceeded', 1_000]);
});

test.each([
  ['a field nobody knows', '{"quantity":1,"price":0}', ['price']],
  ['a field of the answer', '{"quantity":1,"id":"1"}', ['id']],
  ['a field in camel case', '{"Quantity":1}', ['quantity', 'Quantity']],
  ['__proto__', '{"quantity":1,"__proto__":{"quantity":9}}', ['__proto__']],
  ['__proto__ in place of the field', '{"__proto__":{"quantity":1}}', ['quantity', '__proto__']],
  ['constructor', '{"quantity":1,"constructor":1}', ['constructor']],
  ['an empty name', '{"quantity":1,"":1}', ['']],
  ['several', '{"a":1,"b":2,"quantity":0}', ['quantity', 'a', 'b']],
  ['nothing', '{}', ['quantity']],
])('of a purchase with %s every offending path is named', async (_name, raw, paths) => {
  expectInvalid(await buy({ raw }), 'body', paths);
});

test('of a body of nothing but mistakes the first twenty are named', async () => {
  const unknown = Array.from({ length: 100 }, (_, index) => `k${String(index)}`);
  const json = { ...Object.fromEntries(unknown.map((name) => [name, 1] as const)), quantity: 0 };
  const reply = await buy({ json });
  expectInvalid(reply, 'body', ['quantity', ...unknown.slice(0, 19)]);
  expect(reply.body.detail).toMatch(/And more\.$/);
  expectInvalid(await buy({ json: { ...json, quantity: 1 } }), 'body', unknown.slice(0, 20));
});

const notAnObject: readonly (readonly [string, string | Buffer])[] = [
  ['a truncated object', '{"quantity":1'],
  ['a truncated string', '{"quantity":1,"a":"'],
  ['two objects', '{"quantity":1}{"quantity":1}'],
  ['a trailing comma', '{"quantity":1,}'],
  ['single quotes', "{'quantity':1}"],
  ['a comment', '{"quantity":1/*one*/}'],
  ['NaN', '{"quantity":NaN}'],
  ['a leading zero', '{"quantity":01}'],
  ['a list', '[{"quantity":1}]'],
  ['an empty list', '[]'],
  ['a number', '1'],
  ['a string', '"quantity"'],
  ['null', 'null'],
  ['white space', ' \n '],
  ['NUL', '\u0000'],
  ['a form', 'quantity=1'],
  ['a page', '<quantity>1</quantity>'],
  ['a deep nest', `${'['.repeat(500)}${']'.repeat(500)}`],
  ['UTF-16', Buffer.from('{"quantity":1}', 'utf16le')],
  ['bytes that are not UTF-8', Buffer.from([0x7b, 0xff, 0xfe, 0x7d])],
];

test.each(notAnObject)('a body that is %s is refused as validation on every route that takes one', async (_name, raw) => {
  for (const send of [buy, make, change]) {
    const { status, body } = await send({ raw });
    expect([status, body.code]).toEqual([400, 'validation']);
    expect(body.errors.length).toBeGreaterThan(0);
    expect(body.errors.every((error) => error.in === 'body')).toBe(true);
  }
});

test('a request without a body is refused as validation', async () => {
  for (const send of [buy, make, change]) {
    const { status, body } = await send({});
    expect([status, body.code]).toEqual([400, 'validation']);
  }
});

test('bytes that are not UTF-8 in a name are refused, and not replaced', async () => {
  const raw = Buffer.concat([
    Buffer.from('{"name":"A'),
    Buffer.from([0xc3, 0x28]),
    Buffer.from('","total_quota":1,"max_purchase_limit":1}'),
  ]);
  const { status, body } = await make({ raw });
  expect([status, body.code]).toEqual([400, 'validation']);
});

test.each([
  ['no name', { ...good, name: undefined }, ['name']],
  ['an empty name', { ...good, name: '' }, ['name']],
  ['a name of null', { ...good, name: null }, ['name']],
  ['a number for a name', { ...good, name: 1 }, ['name']],
  ['a list for a name', { ...good, name: ['x'] }, ['name']],
  ['a quota of 0', { ...good, total_quota: 0 }, ['total_quota', 'max_purchase_limit']],
  ['a quota of -1', { ...good, total_quota: -1 }, ['total_quota', 'max_purchase_limit']],
  ['a quota of 10,000,001', { ...good, total_quota: 10_000_001 }, ['total_quota']],
  ['a quota of 1e18', { ...good, total_quota: 1e18 }, ['total_quota']],
  ['a quota of 1e300', { ...good, total_quota: 1e300 }, ['total_quota']],
  ['half a ticket', { ...good, total_quota: 1.5 }, ['total_quota']],
  ['a quota in quotes', { ...good, total_quota: '10' }, ['total_quota']],
  ['no limit', { name: 'x', total_quota: 10 }, ['max_purchase_limit']],
  ['a limit of 0', { ...good, max_purchase_limit: 0 }, ['max_purchase_limit']],
  ['a limit of 1,001', { ...good, max_purchase_limit: 1_001 }, ['max_purchase_limit']],
  ['a limit of 1.5', { ...good, max_purchase_limit: 1.5 }, ['max_purchase_limit']],
  ['a limit of null', { ...good, max_purchase_limit: null }, ['max_purchase_limit']],
  ['available_quantity', { ...good, available_quantity: 5 }, ['available_quantity']],
  ['an id of its own', { ...good, id: nobody }, ['id']],
  ['camel case', { name: 'x', totalQuota: 10, max_purchase_limit: 4 }, ['total_quota', 'totalQuota']],
  ['nothing', {}, ['name', 'total_quota', 'max_purchase_limit']],
])('an event with %s is refused and every offending path is named', async (_name, json, paths) => {
  expectInvalid(await make({ json }), 'body', paths);
});

test.each([
  ['NUL', '\\u0000'],
  ['a line feed', '\\n'],
  ['a tab', '\\t'],
  ['a carriage return', '\\r'],
  ['an escape', '\\u001b'],
  ['DEL', '\\u007f'],
  ['a C1 control', '\\u0085'],
  ['a lone high surrogate', '\\ud83c'],
  ['a lone low surrogate', '\\udf9f'],
  ['surrogates in the wrong order', '\\udf9f\\ud83c'],
])('%s in a name is refused', async (_name, escaped) => {
  const name = `"First ${escaped} night"`;
  expectInvalid(await make({ raw: `{"name":${name},"total_quota":1,"max_purchase_limit":1}` }), 'body', ['name']);
  expectInvalid(await change({ raw: `{"name":${name}}` }), 'body', ['name']);
});

test.each([
  ['letters', 'x'],
  ['letters of two bytes', 'ü'],
  ['emoji', '🎟'],
])('a name of 201 %s is refused', async (_name, character) => {
  expectInvalid(await make({ json: { ...good, name: character.repeat(201) } }), 'body', ['name']);
  expectInvalid(await change({ json: { name: character.repeat(201) } }), 'body', ['name']);
});

test.each([
  ['a word', 'first-night'],
  ['a number', '1'],
  ['too short', nobody.slice(0, -1)],
  ['too long', `${nobody}0`],
  ['without dashes', nobody.replaceAll('-', '')],
  ['in braces', `%7B${nobody}%7D`],
  ['with a letter that is not a digit', nobody.replace('0', 'g')],
  ['NUL', '%00'],
  ['NUL at its end', `${nobody}%00`],
  ['a quotation mark', "1'%20OR%20'1'='1"],
  ['a space at its end', `${nobody}%20`],
  ['a broken escape', '%zz'],
  ['bytes that are not UTF-8', '%ff%fe'],
  ['very long', 'a'.repeat(4_000)],
])('an id that is %s is refused on every route that takes one', async (_name, id) => {
  const purchase = { json: { quantity: 1 } };
  const replies = [
    await call(replica.address, `GET /events/${id}`),
    await call(replica.address, `POST /events/${id}/purchases`, purchase),
    await call(replica.address, `GET /events/${eventId}/purchases/${id}`),
    await call(replica.address, `GET /admin/events/${id}`),
    await call(replica.address, `PATCH /admin/events/${id}`, { json: { name: 'x' } }),
    await call(replica.address, `GET /admin/events/${id}/audit`),
  ];
  for (const { status, body } of replies) {
    expect([status, body.code]).toEqual([400, 'validation']);
    expect(body.errors).toEqual([expect.objectContaining({ in: 'path' })]);
  }
});
