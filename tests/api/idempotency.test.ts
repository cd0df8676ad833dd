/**
 * Goal: a buyer may send a request with a key as often as it takes, and buys once; a refusal binds nobody.
 * Method: the same key again under every circumstance that the contract names, and every key that is none.
 */
import { beforeAll, expect, test } from '@jest/globals';
import { makeEvent } from '../support/client.js';
import { useDatabase } from '../support/database.js';
import { type Replica, startReplica } from '../support/replica.js';
import { call, nobody, type Reply } from './call.js';
import { fingerprint } from './rows.js';

const database = useDatabase();
let replicas: [Replica, Replica];
let address: string;
let keys = 0;

beforeAll(async () => {
  replicas = [await database.startReplica(), await database.startReplica()];
  address = replicas[0].address;
});

const make = (quota = 10, limit = 4) => makeEvent(address, { total_quota: quota, max_purchase_limit: limit });
const newKey = () => `a-key-of-these-tests-${String((keys += 1))}`;

interface Request {
  readonly quantity?: number;
  readonly raw?: string;
  readonly at?: string;
}

function buy(
  eventId: string,
  key: string | string[],
  { quantity = 2, raw = JSON.stringify({ quantity }), at = address }: Request = {},
): Promise<Reply> {
  return call(at, `POST /events/${eventId}/purchases`, { raw, headers: { 'Idempotency-Key': key } });
}

/** The very same JSON again, marked as such, and nothing written. */
async function expectReplay(first: Reply, again: () => Promise<Reply>): Promise<void> {
  expect(first.status).toBe(201);
  expect(first.headers).not.toHaveProperty('idempotency-replayed');
  const before = await fingerprint(database);
  const replay = await again();
  expect(await fingerprint(database)).toEqual(before);
  expect(replay.status).toBe(201);
  expect(replay.headers['idempotency-replayed']).toBe('true');
  expect(replay.headers['location']).toBe(first.headers['location']);
  expect(replay.text).toBe(first.text);
}

test('the same key with the same body gives the first purchase again', async () => {
  const [eventId, key] = [await make(), newKey()];
  await expectReplay(await buy(eventId, key), () => buy(eventId, key));
});

test('a retry after the event has sold out gets the first purchase again', async () => {
  const [eventId, key] = [await make(5), newKey()];
  const first = await buy(eventId, key);
  expect((await buy(eventId, newKey(), { quantity: 3 })).status).toBe(201);
  expect((await buy(eventId, newKey(), { quantity: 1 })).body.code).toBe('sold-out');
  await expectReplay(first, () => buy(eventId, key));
});

test('a retry after the limit was lowered gets the first purchase again', async () => {
  const [eventId, key] = [await make(), newKey()];
  const first = await buy(eventId, key);
  await call(address, `PATCH /admin/events/${eventId}`, { json: { max_purchase_limit: 1 } });
  await expectReplay(first, () => buy(eventId, key));
});

test('a retry through another replica, or a replica that was started since, gets the first purchase again', async () => {
  const [eventId, key] = [await make(), newKey()];
  const first = await buy(eventId, key);
  await expectReplay(first, () => buy(eventId, key, { at: replicas[1].address }));
  const later = await startReplica(database.url);
  try {
    await expectReplay(first, () => buy(eventId, key, { at: later.address }));
  } finally {
    await later.close();
  }
});

test.each([
  ['bare and quoted', 'abcdefghijklmnop-1', '"abcdefghijklmnop-1"'],
  ['quoted and bare, with a quotation mark in it', '"abcdefghijklmn\\"op-2"', 'abcdefghijklmn"op-2'],
  ['quoted and bare, with a backslash in it', '"abcdefghijklmn\\\\op-3"', 'abcdefghijklmn\\op-3'],
  ['with spaces around it', 'abcdefghijklmnop-4', '  abcdefghijklmnop-4  '],
])('a key is the same %s', async (_name, one, other) => {
  const eventId = await make();
  await expectReplay(await buy(eventId, one), () => buy(eventId, other));
});

test('a body is the same however it is spaced and however its number is written', async () => {
  const [eventId, key] = [await make(), newKey()];
  await expectReplay(await buy(eventId, key), () => buy(eventId, key, { raw: '\n{ "quantity" : 2.0 }\n' }));
});

test('keys that differ only in case are different keys', async () => {
  const eventId = await make();
  const [one, other] = [await buy(eventId, 'the-same-key-in-capitals'), await buy(eventId, 'THE-SAME-KEY-IN-CAPITALS')];
  expect([one.status, other.status]).toEqual([201, 201]);
  expect(other.body.id).not.toBe(one.body.id);
});

test('one key on two events buys on each', async () => {
  const key = newKey();
  const [one, other] = [await buy(await make(), key), await buy(await make(), key)];
  expect([one.status, other.status]).toEqual([201, 201]);
  expect(other.headers).not.toHaveProperty('idempotency-replayed');
  expect(other.body.id).not.toBe(one.body.id);
});

test.each([1, 3, 5, 1e18])(
  'a key that bought 2 is refused for %d as 422 idempotency-key-reused, and still gets its 2',
  async (quantity) => {
    const [eventId, key] = [await make(), newKey()];
    const first = await buy(eventId, key);
    const before = await fingerprint(database);
    const reused = await buy(eventId, key, { quantity });
    expect([reused.status, reused.body.code]).toEqual([422, 'idempotency-key-reused']);
    expect(await fingerprint(database)).toEqual(before);
    await expectReplay(first, () => buy(eventId, key));
  },
);

test('a key that was refused for its quantity may buy less, or the same once that is allowed', async () => {
  const [eventId, key, other] = [await make(3, 2), newKey(), newKey()];
  expect((await buy(eventId, key, { quantity: 3 })).body.code).toBe('purchase-limit-exceeded');
  expect((await buy(eventId, other, { quantity: 3 })).body.code).toBe('purchase-limit-exceeded');
  const less = await buy(eventId, key, { quantity: 1 });
  expect(less.status).toBe(201);
  expect(less.headers).not.toHaveProperty('idempotency-replayed');
  await call(address, `PATCH /admin/events/${eventId}`, { json: { max_purchase_limit: 3 } });
  expect((await buy(eventId, other, { quantity: 3 })).body.code).toBe('insufficient-availability');
  expect((await buy(eventId, other, { quantity: 2 })).status).toBe(201);
});

test('a key that was refused for its body, or for an event that does not exist, is still free', async () => {
  const [eventId, key] = [await make(), newKey()];
  expect((await buy(eventId, key, { quantity: 0 })).status).toBe(400);
  expect((await buy(nobody, key)).status).toBe(404);
  const bought = await buy(eventId, key);
  expect(bought.status).toBe(201);
  expect(bought.headers).not.toHaveProperty('idempotency-replayed');
});

test('without a key every request is a purchase', async () => {
  const eventId = await make();
  const send = () => call(address, `POST /events/${eventId}/purchases`, { json: { quantity: 2 } });
  const [one, other] = [await send(), await send()];
  expect([one.status, other.status]).toEqual([201, 201]);
  expect(other.body.id).not.toBe(one.body.id);
});

test.each([
  ['16 characters', 'k'.repeat(16)],
  ['255 characters', 'k'.repeat(255)],
  ['255 characters in quotes', `"${'q'.repeat(255)}"`],
  ['every visible character', Array.from({ length: 94 }, (_, index) => String.fromCharCode(0x7e - index)).join('')],
])('a key may have %s', async (_name, key) => {
  const eventId = await make();
  await expectReplay(await buy(eventId, key), () => buy(eventId, key));
});

test.each<[string, string | string[]]>([
  ['of 15 characters', 'k'.repeat(15)],
  ['of 256 characters', 'k'.repeat(256)],
  ['of 15 characters in quotes', `"${'k'.repeat(15)}"`],
  ['of 256 characters in quotes', `"${'k'.repeat(256)}"`],
  ['that is empty', ''],
  ['that is a pair of quotes', '""'],
  ['with a space in it', 'a key with spaces in it'],
  ['with a space in it, quoted', '"a key with spaces in it"'],
  ['with a tab in it', 'a-key-with-a\ttab-in-it'],
  ['that is not ASCII', 'a-key-that-is-not-äscii'],
  ['without its closing quote', '"a-key-without-its-end'],
  ['that ends in an escaped quote', '"a-key-without-its-end\\"'],
  ['with an unknown escape', '"a-key-with-\\n-in-it"'],
  ['with more after the quote', '"a-key-in-quotes-1";a=1'],
  ['that comes twice', ['a-key-that-comes-twice', 'a-key-that-comes-twice-2']],
  ['that comes twice the same', ['a-key-that-comes-twice', 'a-key-that-comes-twice']],
  ['that comes twice in quotes', ['"a-key-that-comes-twice"', '"a-key-that-comes-twice"']],
])('a key %s is refused, and nothing is bought', async (_name, key) => {
  const eventId = await make();
  const before = await fingerprint(database);
  const { status, body } = await buy(eventId, key);
  expect([status, body.code]).toEqual([400, 'validation']);
  expect(body.errors).toEqual([expect.objectContaining({ in: 'header', path: 'Idempotency-Key' })]);
  expect(await fingerprint(database)).toEqual(before);
});
