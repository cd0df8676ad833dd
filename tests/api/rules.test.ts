/**
 * Goal: the rules of an event are taken, shown, changed and refused as API.md says ("Rules of an event"), and bind every purchase.
 * Method: each row over HTTP; what is refused changes nothing.
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { useDatabase } from '../support/database.js';
import type { Replica } from '../support/replica.js';
import { anyTime, call, nobody, noRules, type Reply } from './call.js';
import { fingerprint } from './rows.js';

const database = useDatabase();
let replica: Replica;

beforeAll(async () => {
  replica = await database.startReplica();
});

const plain = { name: 'x', total_quota: 10, max_purchase_limit: 4 };
const make = (json: object = {}) => call(replica.address, 'POST /admin/events', { json: { ...plain, ...json } });
const change = (id: string, json: object) => call(replica.address, `PATCH /admin/events/${id}`, { json });
const show = async (id: string) => (await call(replica.address, `GET /events/${id}`)).body;
const buy = (id: string, json: object = {}, key?: string) =>
  call(replica.address, `POST /events/${id}/purchases`, {
    json: { quantity: 1, ...json },
    ...(key === undefined ? {} : { headers: { 'Idempotency-Key': key } }),
  });

const from = (ms: number) => new Date(Date.now() + ms).toISOString();
const hour = 3_600_000;

async function unchanged(work: () => Promise<Reply>): Promise<Reply> {
  const before = await fingerprint(database);
  const reply = await work();
  expect(await fingerprint(database)).toEqual(before);
  return reply;
}

function expectInvalid({ status, body }: Reply, path: string): void {
  expect([status, body.code]).toEqual([400, 'validation']);
  expect(body.errors).toEqual([{ in: 'body', path, message: expect.stringMatching(/./) }]);
}

const taken: readonly (readonly [what: string, given: object, shown?: object])[] = [
  ['none', {}],
  ['each as null', noRules],
  ['a start', { sale_starts_at: '2030-01-02T03:04:05.678Z' }],
  ['an end', { sale_ends_at: '2030-01-02T03:04:05.678Z' }],
  ['a window of a millisecond', { sale_starts_at: '2030-01-01T00:00:00.000Z', sale_ends_at: '2030-01-01T00:00:00.001Z' }],
  ['a time elsewhere', { sale_starts_at: '2030-01-01T00:30:00+02:00' }, { sale_starts_at: '2029-12-31T22:30:00.000Z' }],
  ['a time finer than a millisecond', { sale_ends_at: '2030-01-01T00:00:00.123999Z' }, { sale_ends_at: '2030-01-01T00:00:00.123Z' }],
  ['the smallest values', { max_per_buyer: 1, hold_seconds: 10 }],
  ['the largest values', { max_per_buyer: 1_000_000, hold_seconds: 3_600 }],
  ['a limit that is the quota', { max_purchase_limit: 10 }],
];

describe.each(taken)('rules: %s', (_what, given, shown = given) => {
  test('are taken at creation, and shown wherever the event is', async () => {
    const made = await make(given);
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({ ...plain, ...noRules, ...shown });
    expect(await show(made.body.id)).toEqual(made.body);
    expect((await call(replica.address, 'GET /events?limit=1')).body.data).toEqual([made.body]);
    expect((await call(replica.address, 'GET /admin/events?limit=1')).body.data).toEqual([made.body]);
    const forAdmin = await call(replica.address, `GET /admin/events/${made.body.id}`);
    expect(forAdmin.body).toEqual({ ...made.body, held_quantity: 0, sold_quantity: 0 });
  });

  test('are taken by a change, which leaves what it does not name', async () => {
    const before = {
      sale_starts_at: '2020-01-01T00:00:00.000Z',
      sale_ends_at: '2040-01-01T00:00:00.000Z',
      max_per_buyer: 7,
      hold_seconds: 77,
    };
    const { body: made } = await make(before);
    const changed = await change(made.id, Object.keys(given).length > 0 ? given : { name: 'x' });
    expect(changed.status).toBe(200);
    expect(changed.body).toEqual({ ...made, ...shown, status: expect.any(String), updated_at: anyTime });
    expect(await show(made.id)).toEqual(changed.body);
  });
});

const wrong: readonly (readonly [what: string, given: object, path: string])[] = [
  ...['sale_starts_at', 'sale_ends_at'].flatMap((path) =>
    [
      'tomorrow',
      '',
      '2030-01-01',
      '2030-01-01 00:00:00Z',
      '2030-01-01T00:00:00',
      '2030-01-01T00:00Z[UTC]',
      '2030-13-01T00:00:00Z',
      '2030-02-30T00:00:00Z',
      '2030-01-01T25:00:00Z',
      '1969-12-31T23:59:59Z',
      '+010000-01-01T00:00:00Z',
      1_893_456_000_000,
      true,
      ['2030-01-01T00:00:00Z'],
      {},
    ].map((value) => [`${path} ${JSON.stringify(value)}`, { [path]: value }, path] as const),
  ),
  ...[0, -1, 1.5, 1_000_001, 1e300, '4', true, [4], {}].map(
    (value) => [`max_per_buyer ${JSON.stringify(value)}`, { max_per_buyer: value }, 'max_per_buyer'] as const,
  ),
  ...[0, 9, -60, 10.5, 3_601, 1e300, '60', false, [60], {}].map(
    (value) => [`hold_seconds ${JSON.stringify(value)}`, { hold_seconds: value }, 'hold_seconds'] as const,
  ),
  ['an end at the start', { sale_starts_at: '2030-01-01T00:00:00Z', sale_ends_at: '2030-01-01T00:00:00Z' }, 'sale_ends_at'],
  ['an end before the start', { sale_starts_at: '2030-01-01T01:00:00Z', sale_ends_at: '2030-01-01T02:00:00+02:00' }, 'sale_ends_at'],
  ['a limit above the quota', { max_purchase_limit: 11 }, 'max_purchase_limit'],
  ['a rule of another name', { holdSeconds: 60 }, 'holdSeconds'],
  ['a status', { status: 'on_sale' }, 'status'],
];

test.each(wrong)('%s is refused, at creation and as a change, and changes nothing', async (_what, given, path) => {
  const { body: made } = await make();
  expectInvalid(await unchanged(() => make(given)), path);
  expectInvalid(await unchanged(() => change(made.id, { name: 'y', ...given })), path);
});

test.each([
  ['an end before the start that is kept', { sale_starts_at: '2030-01-01T00:00:00Z' }, { sale_ends_at: '2029-01-01T00:00:00Z' }],
  ['a start after the end that is kept', { sale_ends_at: '2030-01-01T00:00:00Z' }, { sale_starts_at: '2030-01-01T00:00:00Z' }],
])('%s is refused', async (_what, before, given) => {
  const { body: made } = await make(before);
  expectInvalid(await unchanged(() => change(made.id, given)), 'sale_ends_at');
});

test('a change of nothing is refused, and one of an event that there is not', async () => {
  const { body: made } = await make();
  expect((await unchanged(() => change(made.id, {}))).status).toBe(400);
  expect((await unchanged(() => change(nobody, { hold_seconds: 60 }))).body.code).toBe('event-not-found');
});

describe('a sale window', () => {
  test('not begun: the event is scheduled, and a purchase is 409 sale-not-started with the time, and when to come back', async () => {
    const starts = from(hour);
    const { body: made } = await make({ sale_starts_at: starts });
    expect(made['status']).toBe('scheduled');
    const refused = await unchanged(() => buy(made.id));
    expect([refused.status, refused.body.code, refused.body['sale_starts_at']]).toEqual([409, 'sale-not-started', starts]);
    const seconds = Number(refused.headers['retry-after']);
    expect(seconds).toBeGreaterThan(3_000);
    expect(seconds).toBeLessThanOrEqual(3_600);
  });

  test('begun: by itself, at that second, without another request from anybody', async () => {
    const { body: made } = await make({ sale_starts_at: from(1_500) });
    expect((await buy(made.id)).body.code).toBe('sale-not-started');
    let reply: Reply;
    do reply = await buy(made.id);
    while (reply.status === 409);
    expect(reply.status).toBe(201);
    // By the database's clock, which is also that of the purchase.
    expect(Date.parse(reply.body['created_at'] as string)).toBeGreaterThanOrEqual(Date.parse(made['sale_starts_at'] as string));
    expect((await show(made.id))['status']).toBe('on_sale');
  });

  test('ended by a change into the past, resumed by one to null or into the future', async () => {
    const { body: made } = await make();
    expect((await buy(made.id)).status).toBe(201);
    for (const resumed of [null, from(hour)]) {
      expect((await change(made.id, { sale_ends_at: from(-hour) })).body['status']).toBe('ended');
      const refused = await unchanged(() => buy(made.id));
      expect([refused.status, refused.body.code]).toEqual([409, 'sale-ended']);
      expect((await change(made.id, { sale_ends_at: resumed })).body['status']).toBe('on_sale');
      expect((await buy(made.id)).status).toBe(201);
    }
  });

  test('does not stand in the way of a replay', async () => {
    const { body: made } = await make();
    const first = await buy(made.id, {}, 'a-key-of-the-window');
    await change(made.id, { sale_ends_at: from(-hour) });
    const again = await unchanged(() => buy(made.id, {}, 'a-key-of-the-window'));
    expect([again.status, again.text, again.headers['idempotency-replayed']]).toEqual([201, first.text, 'true']);
  });
});

test('an event whose tickets are gone is sold_out, unless its sale has not begun or has ended', async () => {
  const { body: made } = await make({ total_quota: 2, max_purchase_limit: 2 });
  await buy(made.id, { quantity: 2 });
  expect((await show(made.id))['status']).toBe('sold_out');
  expect((await change(made.id, { sale_ends_at: from(-hour) })).body['status']).toBe('ended');
  expect((await change(made.id, { sale_starts_at: from(hour), sale_ends_at: null })).body['status']).toBe('scheduled');
});

describe('max_per_buyer', () => {
  test('refuses what a buyer would have beyond it, with what remains: 409 buyer-limit-exceeded', async () => {
    const { body: made } = await make({ max_per_buyer: 3 });
    await buy(made.id, { quantity: 2, buyer_id: 'ann' });
    const refused = await unchanged(() => buy(made.id, { quantity: 2, buyer_id: 'ann' }));
    expect([refused.status, refused.body.code, refused.body['remaining']]).toEqual([409, 'buyer-limit-exceeded', 1]);
    expect((await buy(made.id, { quantity: 1, buyer_id: 'ann' })).status).toBe(201);
    expect((await unchanged(() => buy(made.id, { buyer_id: 'ann' }))).body['remaining']).toBe(0);
    expect((await buy(made.id, { quantity: 3, buyer_id: 'bob' })).status).toBe(201);
  });

  test('needs a buyer: 422 buyer-required', async () => {
    const { body: made } = await make({ max_per_buyer: 3 });
    const refused = await unchanged(() => buy(made.id));
    expect([refused.status, refused.body.code]).toEqual([422, 'buyer-required']);
  });

  test('counts what was bought before there was such a limit, and a lowered one leaves what is there', async () => {
    const { body: made } = await make();
    await buy(made.id, { quantity: 4, buyer_id: 'ann' });
    await change(made.id, { max_per_buyer: 2 });
    expect((await unchanged(() => buy(made.id, { buyer_id: 'ann' }))).body).toMatchObject({ code: 'buyer-limit-exceeded', remaining: 0 });
    await change(made.id, { max_per_buyer: 5 });
    expect((await buy(made.id, { buyer_id: 'ann' })).status).toBe(201);
    await change(made.id, { max_per_buyer: null });
    expect((await buy(made.id, { quantity: 2, buyer_id: 'ann' })).status).toBe(201);
  });
});

test('hold_seconds decides for each purchase when it is made; purchases that exist keep what they were granted', async () => {
  const { body: made } = await make();
  const sold = await buy(made.id);
  expect((await change(made.id, { hold_seconds: 60 })).status).toBe(200);
  const held = await buy(made.id);
  await change(made.id, { hold_seconds: null });
  const again = await buy(made.id);
  expect([sold, held, again].map(({ body }) => [body['status'], body.tickets.length])).toEqual([
    ['confirmed', 1],
    ['held', 0],
    ['confirmed', 1],
  ]);
  expect(Date.parse(held.body['expires_at'] as string) - Date.parse(held.body['created_at'] as string)).toBe(60_000);
  for (const { body } of [sold, held, again]) {
    expect((await call(replica.address, `GET /events/${made.id}/purchases/${body.id}`)).body).toEqual(body);
  }
  expect((await call(replica.address, `GET /admin/events/${made.id}`)).body).toMatchObject({ held_quantity: 1, sold_quantity: 2 });
});
