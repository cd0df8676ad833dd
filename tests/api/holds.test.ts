/**
 * Goal: purchases are held, named, shown, confirmed and released as API.md says ("Purchases"), and what is refused changes nothing.
 * Method: each row over HTTP. A hold expires because its time is moved into the past; no sweep runs meanwhile.
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { sellLocked } from '../../src/sale/lockedPath.js';
import { useDatabase } from '../support/database.js';
import type { Replica } from '../support/replica.js';
import { anyTime, anyUuid, anyUuidV7, call, type Reply } from './call.js';
import { fingerprint } from './rows.js';

const database = useDatabase();
const sellerToken = 'the-seller-token-of-the-tests';
let replica: Replica;

beforeAll(async () => {
  replica = await database.startReplica({ SELLER_TOKEN: sellerToken, SWEEP_INTERVAL_MS: '3600000' });
});

async function make(json: object = {}): Promise<string> {
  const made = await call(replica.address, 'POST /admin/events', {
    json: { name: 'x', total_quota: 10, max_purchase_limit: 5, hold_seconds: 600, ...json },
  });
  expect(made.status).toBe(201);
  return made.body.id;
}

const buy = (eventId: string, json: object = { quantity: 2 }, key?: string) =>
  call(replica.address, `POST /events/${eventId}/purchases`, {
    json,
    ...(key === undefined ? {} : { headers: { 'Idempotency-Key': key } }),
  });
const show = (eventId: string, purchaseId: string) => call(replica.address, `GET /events/${eventId}/purchases/${purchaseId}`);
const asSeller = { headers: { Authorization: `Bearer ${sellerToken}` } };
const act = (action: string, eventId: string, purchaseId: string) =>
  call(replica.address, `POST /events/${eventId}/purchases/${purchaseId}/${action}`, action === 'confirm' ? asSeller : {});
const confirm = (eventId: string, { body }: Reply) => act('confirm', eventId, body.id);
const release = (eventId: string, { body }: Reply) => act('release', eventId, body.id);
const expire = ({ body }: Reply) =>
  database.sql.query(`UPDATE purchases SET expires_at = date_trunc('second', now()) - interval '1 second' WHERE id = $1`, [body.id]);
const cancel = (eventId: string, { body }: Reply) =>
  sellLocked(database.openPool(), eventId, [{ kind: 'cancel', purchaseId: body.id, asBuyer: undefined }], false);
const audit = async (eventId: string) => (await call(replica.address, `GET /admin/events/${eventId}/audit`)).body;

async function unchanged(work: () => Promise<Reply>): Promise<Reply> {
  const before = await fingerprint(database);
  const reply = await work();
  expect(await fingerprint(database)).toEqual(before);
  return reply;
}

describe('a purchase', () => {
  test('of an event with hold_seconds is held: no tickets, until expires_at', async () => {
    const eventId = await make();
    const held = await buy(eventId, { quantity: 3, buyer_id: 'customer-17', reference: 'order 4711' });
    expect(held.status).toBe(201);
    expect(held.body).toEqual({
      id: anyUuidV7,
      event_id: eventId,
      quantity: 3,
      status: 'held',
      buyer_id: 'customer-17',
      reference: 'order 4711',
      created_at: anyTime,
      expires_at: anyTime,
      tickets: [],
    });
    expect(Date.parse(held.body['expires_at'] as string) - Date.parse(held.body['created_at'] as string)).toBe(600_000);
    expect((await show(eventId, held.body.id)).text).toBe(held.text);
    expect((await call(replica.address, `GET /events/${eventId}`)).body).toMatchObject({ available_quantity: 7, status: 'on_sale' });
    expect((await call(replica.address, `GET /admin/events/${eventId}`)).body).toMatchObject({ held_quantity: 3, sold_quantity: 0 });
    expect(await audit(eventId)).toMatchObject({ available_quantity: 7, held_quantity: 3, sold_quantity: 0, consistent: true });
  });

  test('that finds too little says what is held and may come back', async () => {
    const eventId = await make({ total_quota: 5 });
    await buy(eventId, { quantity: 3 });
    const short = await unchanged(() => buy(eventId, { quantity: 3 }));
    expect(short.body).toMatchObject({ code: 'insufficient-availability', available_quantity: 2, held_quantity: 3 });
    await buy(eventId, { quantity: 2 });
    const none = await unchanged(() => buy(eventId));
    expect(none.body).toMatchObject({ code: 'sold-out', available_quantity: 0, held_quantity: 5 });
  });

  test.each([
    ['one character', 'x', ''],
    ['as long as may be', 'ü'.repeat(100), '🎟'.repeat(200)],
    ['with every character that arrays and strings are written with', `{"a","b"}\\',NULL;--$1`, `{"a b"} \\',NULL;-- $1 \u2028`],
    ['that JavaScript has a meaning for', '__proto__', 'constructor'],
  ])('names a buyer and a reference: %s; both come back as they were sent, and the buyer is counted', async (_what, buyer, reference) => {
    const eventId = await make({ max_per_buyer: 2, total_quota: 9 });
    const named = { buyer_id: buyer, reference };
    const bought = await buy(eventId, { quantity: 1, ...named });
    expect(bought.body).toMatchObject(named);
    expect((await show(eventId, bought.body.id)).body).toMatchObject(named);
    await buy(eventId, { quantity: 1, ...named }, 'a-key-of-the-buyer');
    // On the locked path, then on the snapshot path.
    for (let again = 0; again < 2; again += 1) {
      expect((await unchanged(() => buy(eventId, { quantity: 1, ...named }))).body).toMatchObject({
        code: 'buyer-limit-exceeded',
        remaining: 0,
      });
    }
    expect((await buy(eventId, { quantity: 1, ...named }, 'a-key-of-the-buyer')).headers['idempotency-replayed']).toBe('true');
  });

  test.each([
    ['buyer_id', ['', 'x'.repeat(101), 'a b', ' ', 'a\n', 'a\u0000', '\u200b', 'a\u00a0', 17, null, true, ['ann'], {}]],
    ['reference', ['x'.repeat(201), 'a\nb', '\u0000', '\u0085', 17, null, false, ['x'], {}]],
    ['buyerId', ['ann']],
  ])('with a wrong %s is refused', async (path, values) => {
    const eventId = await make();
    for (const value of values) {
      const { status, body } = await unchanged(() => buy(eventId, { quantity: 1, [path]: value }));
      expect([value, status, body.code, body.errors.map((error) => [error.in, error.path])]).toEqual([
        value,
        400,
        'validation',
        [['body', path]],
      ]);
    }
  });

  test('with half a character in its buyer or reference is refused, not stored as another', async () => {
    const eventId = await make();
    for (const member of ['buyer_id', 'reference']) {
      const reply = await unchanged(() =>
        call(replica.address, `POST /events/${eventId}/purchases`, { raw: `{"quantity":1,"${member}":"\\ud83c"}` }),
      );
      expect([reply.status, reply.body.errors.map(({ path }) => path)]).toEqual([400, [member]]);
    }
  });

  test.each([
    ['another buyer', { buyer_id: 'bob' }],
    ['another reference', { reference: 'order 2' }],
    ['no buyer', { buyer_id: undefined }],
    ['no reference', { reference: undefined }],
  ])('with the key of one with %s is 422 idempotency-key-reused', async (_what, other) => {
    const eventId = await make();
    const body = { quantity: 1, buyer_id: 'ann', reference: 'order 1' };
    await buy(eventId, body, 'a-key-that-was-used');
    const { status, body: refused } = await unchanged(() => buy(eventId, { ...body, ...other }, 'a-key-that-was-used'));
    expect([status, refused.code]).toEqual([422, 'idempotency-key-reused']);
  });
});

/** Makes a hold of two, and leads it to a status. */
const statuses: Readonly<Record<string, (eventId: string, held: Reply) => Promise<unknown>>> = {
  held: () => Promise.resolve(),
  confirmed: confirm,
  released: release,
  expired: (_eventId, held) => expire(held),
  cancelled: async (eventId, held) => {
    await confirm(eventId, held);
    await cancel(eventId, held);
  },
};

const table: readonly (readonly [status: string, confirmed: string, released: string])[] = [
  ['held', '200 confirmed', '200 released'],
  ['confirmed', '200 confirmed', '409 purchase-confirmed'],
  ['released', '409 hold-released', '200 released'],
  ['expired', '409 hold-expired', '200 expired'],
  ['cancelled', '409 purchase-cancelled', '409 purchase-cancelled'],
];

describe.each(table)('a purchase that is %s', (status, confirmed, released) => {
  const lead = async () => {
    const eventId = await make();
    const held = await buy(eventId, { quantity: 2 }, 'a-key-of-this-purchase');
    await statuses[status]!(eventId, held);
    return { eventId, held };
  };

  test('is shown with its tickets or without, by its id and by its key', async () => {
    const { eventId, held } = await lead();
    const ticket = status === 'cancelled' ? { id: anyUuid, status: 'void' } : { id: anyUuid };
    const shown = await show(eventId, held.body.id);
    expect(shown.body).toEqual({
      ...held.body,
      status,
      expires_at: status === 'held' || status === 'expired' ? anyTime : null,
      tickets: status === 'confirmed' || status === 'cancelled' ? [ticket, ticket] : [],
    });
    const replay = await unchanged(() => buy(eventId, { quantity: 2 }, 'a-key-of-this-purchase'));
    expect([replay.status, replay.body, replay.headers['idempotency-replayed']]).toEqual([201, shown.body, 'true']);
    expect(replay.headers['location']).toBe(held.headers['location']);
  });

  test.each([
    ['confirm', confirmed],
    ['release', released],
  ])(`%s: %s, and the same when it is repeated`, async (action, answer) => {
    const { eventId, held } = await lead();
    const first = await act(action, eventId, held.body.id);
    expect(`${String(first.status)} ${first.status === 200 ? String(first.body['status']) : first.body.code}`).toBe(answer);
    const again = await act(action, eventId, held.body.id);
    expect([again.status, { ...again.body, request_id: '' }]).toEqual([first.status, { ...first.body, request_id: '' }]);
    if (first.status === 200) expect((await show(eventId, held.body.id)).body).toEqual(first.body);
    const isSold = answer === '200 confirmed' || answer === '409 purchase-confirmed';
    expect(await audit(eventId)).toMatchObject({
      sold_quantity: isSold ? 2 : 0,
      held_quantity: 0,
      available_quantity: isSold ? 8 : 10,
      consistent: true,
    });
  });
});
