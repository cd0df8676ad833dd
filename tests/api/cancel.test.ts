/**
 * Goal: the admin cancels a purchase, held or confirmed: its tickets are void, and what it took is available again, once.
 * Method: each answer of the contract's row, through one replica and through three at once, with the books after each.
 */
import { beforeAll, expect, test } from '@jest/globals';
import type { Pool } from '../../src/db/client.js';
import { act, audit, buy, lookUp, makeEvent, type NewEvent } from '../support/client.js';
import { useDatabase } from '../support/database.js';
import { patientSettings, type Replica } from '../support/replica.js';
import { expectConserved } from '../support/sales.js';
import { call, nobody } from './call.js';
import { fingerprint } from './rows.js';

const database = useDatabase();
let replicas: readonly Replica[];
let address: string;
let pool: Pool;

beforeAll(async () => {
  replicas = await Promise.all([1, 2, 3].map(() => database.startReplica({ ...patientSettings, SWEEP_INTERVAL_MS: '3600000' })));
  address = replicas[0]!.address;
  pool = database.openPool();
});

const make = (rules: Partial<NewEvent> = {}) => makeEvent(address, { total_quota: 10, max_purchase_limit: 4, ...rules });
const pathOf = (eventId: string, purchaseId: string) => `POST /admin/events/${eventId}/purchases/${purchaseId}/cancel`;
const voided = (tickets: readonly { id: string }[]) => tickets.map(({ id }) => ({ id, status: 'void' }));
/** Lets the time of a hold pass, without anything that notices. */
const letExpire = (purchaseId: string) =>
  database.sql.query(`UPDATE purchases SET expires_at = now() - interval '1 second' WHERE id = $1`, [purchaseId]);

test('a confirmed purchase is cancelled: its tickets are void, its quantity is available again, and repeating it changes nothing', async () => {
  const eventId = await make();
  const { body: bought } = await buy(address, eventId, 3, undefined, { buyer_id: 'anna', reference: 'order 1' });
  const cancelled = await call(address, pathOf(eventId, bought.id), { json: {} });
  expect(cancelled.status).toBe(200);
  expect(cancelled.body).toEqual({ ...bought, status: 'cancelled', tickets: voided(bought.tickets) });
  await expectConserved(pool, eventId, 0);
  for (const options of [{}, { json: {} }]) {
    const again = await call(address, pathOf(eventId, bought.id), options);
    expect([again.status, again.body]).toEqual([200, cancelled.body]);
  }
  expect((await lookUp(address, eventId, bought.id)).body).toEqual(cancelled.body);
  await expectConserved(pool, eventId, 0);
  const { body } = await call(address, `GET /events/${eventId}`);
  expect(body['available_quantity']).toBe(10);
});

test('a held purchase is cancelled without tickets, and can be neither confirmed nor released any more', async () => {
  const eventId = await make({ hold_seconds: 600 });
  const { body: held } = await buy(address, eventId, 4);
  const cancelled = await call(address, pathOf(eventId, held.id));
  expect(cancelled.status).toBe(200);
  expect(cancelled.body).toEqual({ ...held, status: 'cancelled', expires_at: null, tickets: [] });
  for (const action of ['confirm', 'release'] as const) {
    const refused = await act(address, eventId, held.id, action);
    expect([action, refused.status, refused.body.code]).toEqual([action, 409, 'purchase-cancelled']);
  }
  await expectConserved(pool, eventId, 0);
});

test('a cancelled purchase can be bought again, by somebody else', async () => {
  const eventId = await make({ total_quota: 4 });
  const { body: bought } = await buy(address, eventId, 4);
  expect((await buy(address, eventId, 1)).body.code).toBe('sold-out');
  await call(address, pathOf(eventId, bought.id));
  for (const replica of replicas.slice(1)) expect((await buy(replica.address, eventId, 2)).status).toBe(201);
  await expectConserved(pool, eventId, 4);
});

test('a key whose purchase was cancelled gives that purchase, cancelled, and buys nothing', async () => {
  const eventId = await make();
  const { body: bought } = await buy(address, eventId, 2, 'a-key-that-is-cancelled');
  await call(address, pathOf(eventId, bought.id));
  const replay = await buy(address, eventId, 2, 'a-key-that-is-cancelled');
  expect([replay.status, replay.headers.get('idempotency-replayed')]).toEqual([201, 'true']);
  expect(replay.body).toMatchObject({ id: bought.id, status: 'cancelled', tickets: voided(bought.tickets) });
  await expectConserved(pool, eventId, 0);
});

test('what a buyer has goes down by what is cancelled', async () => {
  const eventId = await make({ max_per_buyer: 4 });
  const { body: bought } = await buy(address, eventId, 3, undefined, { buyer_id: 'anna' });
  const refused = await buy(address, eventId, 2, undefined, { buyer_id: 'anna' });
  expect([refused.body.code, refused.body['remaining']]).toEqual(['buyer-limit-exceeded', 1]);
  await Promise.all(replicas.map((replica) => act(replica.address, eventId, bought.id, 'cancel')));
  expect((await buy(address, eventId, 4, undefined, { buyer_id: 'anna' })).status).toBe(201);
  expect((await buy(address, eventId, 1, undefined, { buyer_id: 'anna' })).body.code).toBe('buyer-limit-exceeded');
  await expectConserved(pool, eventId, 4);
});

test('a released hold and an expired one have nothing to give back: 409, swept or not, and nothing changes', async () => {
  const eventId = await make({ hold_seconds: 600 });
  const ids = await Promise.all([1, 2, 3].map(async () => (await buy(address, eventId, 1)).body.id));
  const [released, due, expired] = ids as [string, string, string];
  await act(address, eventId, released, 'release');
  await letExpire(due);
  await database.sql.query(
    `WITH expired AS (UPDATE purchases SET status = 'expired', expires_at = now() WHERE id = $1 RETURNING event_id, quantity)
     UPDATE events SET available = available + quantity FROM expired WHERE id = event_id`,
    [expired],
  );
  const expected = [
    [released, 'hold-released'],
    [due, 'hold-expired'],
    [expired, 'hold-expired'],
  ] as const;
  for (const [purchaseId, code] of expected) {
    const refused = await call(address, pathOf(eventId, purchaseId));
    expect([refused.status, refused.body.code]).toEqual([409, code]);
  }
  await expectConserved(pool, eventId, 0);
});

test('cancelled by many through three replicas at once, a purchase gives back its quantity exactly once', async () => {
  const eventId = await make({ total_quota: 100 });
  const bought = await Promise.all(Array.from({ length: 5 }, () => buy(address, eventId, 4)));
  const repeated = bought
    .slice(0, 3)
    .flatMap(({ body }) => Array.from({ length: 30 }, (_, n) => ({ id: body.id, replica: replicas[n % 3]! })));
  const beside = Array.from({ length: 30 }, (_, n) => buy(replicas[n % 3]!.address, eventId, 1));
  const answers = await Promise.all(repeated.map(({ id, replica }) => act(replica.address, eventId, id, 'cancel')));
  expect((await Promise.all(beside)).every(({ status }) => status === 201)).toBe(true);
  for (const { body } of bought.slice(0, 3)) {
    const own = answers.filter((answer) => answer.body.id === body.id);
    expect(own.length).toBe(30);
    for (const answer of own) {
      expect([answer.status, answer.body]).toEqual([200, { ...body, status: 'cancelled', tickets: voided(body.tickets) }]);
    }
  }
  await expectConserved(pool, eventId, 8 + 30);
  expect((await audit(address, eventId)).body).toMatchObject({ available_quantity: 62, consistent: true });
});

test('cancelled and confirmed at once, a hold ends cancelled, and every answer is true of some moment', async () => {
  const eventId = await make({ total_quota: 100, hold_seconds: 600 });
  const held = await Promise.all(Array.from({ length: 20 }, () => buy(address, eventId, 2)));
  await Promise.all(
    held.map(async ({ body: { id } }, n) => {
      const [confirmed, cancelled] = await Promise.all([
        act(replicas[n % 3]!.address, eventId, id, 'confirm'),
        act(replicas[(n + 1) % 3]!.address, eventId, id, 'cancel'),
      ]);
      expect([cancelled.status, cancelled.body['status']]).toEqual([200, 'cancelled']);
      expect(cancelled.body.tickets).toEqual(confirmed.status === 200 ? voided(confirmed.body.tickets) : []);
      if (confirmed.status !== 200) expect([confirmed.status, confirmed.body.code]).toEqual([409, 'purchase-cancelled']);
    }),
  );
  await expectConserved(pool, eventId, 0);
});

test.each([
  ['an unknown purchase', (eventId: string) => pathOf(eventId, nobody), {}, 404, 'purchase-not-found'],
  ['an unknown event', (_: string, id: string) => pathOf(nobody, id), {}, 404, 'event-not-found'],
  ['a malformed event id', (_: string, id: string) => pathOf('nothing', id), {}, 400, 'validation'],
  ['a malformed purchase id', (eventId: string) => pathOf(eventId, 'nothing'), {}, 400, 'validation'],
  ['an unknown field', pathOf, { json: { quantity: 1 } }, 400, 'validation'],
  ['an array', pathOf, { json: [] }, 400, 'validation'],
  ['null', pathOf, { raw: 'null' }, 400, 'validation'],
  ['malformed JSON', pathOf, { raw: '{' }, 400, 'validation'],
  ['another media type', pathOf, { raw: '{}', headers: { 'Content-Type': 'text/plain' } }, 415, 'unsupported-media-type'],
  ['a large body', pathOf, { raw: ' '.repeat(5_000) + '{}' }, 413, 'body-too-large'],
  ['no token', pathOf, { admin: false }, 401, 'unauthorized'],
  ['a wrong token', pathOf, { headers: { Authorization: 'Bearer not-the-token-of-the-admin' } }, 401, 'unauthorized'],
  ['another method', (eventId: string, id: string) => pathOf(eventId, id).replace('POST', 'GET'), {}, 405, 'method-not-allowed'],
] as const)('%s is refused and cancels nothing', async (_name, lineOf, options, status, code) => {
  const eventId = await make();
  const { body: bought } = await buy(address, eventId, 2);
  const before = await fingerprint(database);
  const refused = await call(address, lineOf(eventId, bought.id), options);
  expect([refused.status, refused.body.code]).toEqual([status, code]);
  expect(await fingerprint(database)).toEqual(before);
  expect((await lookUp(address, eventId, bought.id)).body).toEqual(bought);
});

test('a purchase is cancelled by way of its own event only', async () => {
  const [eventId, other] = [await make(), await make()];
  const { body: bought } = await buy(address, eventId, 2);
  const refused = await call(address, pathOf(other, bought.id));
  expect([refused.status, refused.body.code]).toEqual([404, 'purchase-not-found']);
  await expectConserved(pool, eventId, 2);
  await expectConserved(pool, other, 0);
});
