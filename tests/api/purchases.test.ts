/**
 * Goal: a purchase is exactly what the buyer asked for, or a refusal that says why and changes nothing.
 * Method: one buyer at a time, each row of the contract's table of answers; whoever is refused finds the rows untouched.
 */
import { beforeAll, expect, test } from '@jest/globals';
import { makeEvent } from '../support/client.js';
import { useDatabase } from '../support/database.js';
import type { Replica } from '../support/replica.js';
import { anyTime, anyUuid, anyUuidV7, call, nobody, type Reply } from './call.js';
import { fingerprint } from './rows.js';

const database = useDatabase();
let replica: Replica;

beforeAll(async () => {
  replica = await database.startReplica();
});

const make = (quota: number, limit: number) => makeEvent(replica.address, { total_quota: quota, max_purchase_limit: limit });
const buy = (eventId: string, quantity: unknown) => call(replica.address, `POST /events/${eventId}/purchases`, { json: { quantity } });

async function expectRefused(eventId: string, quantity: number): Promise<Reply> {
  const before = await fingerprint(database);
  const refused = await buy(eventId, quantity);
  expect(await fingerprint(database)).toEqual(before);
  return refused;
}

test('a purchase has exactly the tickets that were asked for, all different, and Location leads to it', async () => {
  const eventId = await make(100, 4);
  const bought = await buy(eventId, 3);
  expect(bought.status).toBe(201);
  const ticket = { id: anyUuid };
  expect(bought.body).toEqual({
    id: anyUuidV7,
    event_id: eventId,
    quantity: 3,
    status: 'confirmed',
    buyer_id: null,
    reference: null,
    created_at: anyTime,
    expires_at: null,
    tickets: [ticket, ticket, ticket],
  });
  expect(new Set(bought.body.tickets.map(({ id }) => id)).size).toBe(3);
  expect(bought.headers['location']).toBe(`/events/${eventId}/purchases/${bought.body.id}`);

  const found = await call(replica.address, `GET ${String(bought.headers['location'])}`);
  expect(found.status).toBe(200);
  expect(found.text).toBe(bought.text);
});

test('what was answered is in the database: one purchase, its tickets, and so much less is left', async () => {
  const eventId = await make(10, 4);
  const before = await fingerprint(database);
  const { body } = await buy(eventId, 4);
  expect(await fingerprint(database)).toMatchObject({ purchases: before.purchases + 1, tickets: before.tickets + 4 });
  const { rows } = await database.sql.query<{ id: string }>('SELECT id FROM tickets WHERE event_id = $1 AND purchase_id = $2', [
    eventId,
    body.id,
  ]);
  expect(rows.map(({ id }) => id).sort()).toEqual(body.tickets.map(({ id }) => id).sort());
  expect((await call(replica.address, `GET /events/${eventId}`)).body).toMatchObject({ available_quantity: 6 });
});

test('two purchases share no ticket', async () => {
  const eventId = await make(8, 4);
  const ids = [await buy(eventId, 4), await buy(eventId, 4)].flatMap(({ body }) => body.tickets.map(({ id }) => id));
  expect(new Set(ids).size).toBe(8);
});

test.each([1, 4, 999, 1_000])('one purchase may have as many tickets as the limit: %d', async (limit) => {
  const eventId = await make(limit, limit);
  const { status, body } = await buy(eventId, limit);
  expect([status, body.tickets.length]).toEqual([201, limit]);
  expect((await call(replica.address, `GET /events/${eventId}`)).body).toMatchObject({ available_quantity: 0 });
});

test('an event that nobody made is 404 event-not-found', async () => {
  const { status, body } = await expectRefused(nobody, 1);
  expect([status, body.code]).toEqual([404, 'event-not-found']);
});

test('when nothing is left the answer is 409 sold-out, with an available_quantity of 0', async () => {
  const eventId = await make(2, 2);
  await buy(eventId, 2);
  for (const quantity of [1, 2]) {
    const { status, body } = await expectRefused(eventId, quantity);
    expect(status).toBe(409);
    expect(body).toMatchObject({ code: 'sold-out', available_quantity: 0, held_quantity: 0 });
  }
});

test('when too little is left the answer is 409 insufficient-availability and says how much; that much can be bought', async () => {
  const eventId = await make(5, 4);
  await buy(eventId, 3);
  const { status, body } = await expectRefused(eventId, 3);
  expect(status).toBe(409);
  expect(body).toMatchObject({ code: 'insufficient-availability', available_quantity: 2, held_quantity: 0 });
  expect((await buy(eventId, 2)).status).toBe(201);
});

test.each([5, 1_001, 2 ** 31, 2 ** 53, 1e18, 1e300])(
  'a quantity of %d over a limit of 4 is 422 purchase-limit-exceeded and names the limit',
  async (quantity) => {
    const { status, body } = await expectRefused(await make(10, 4), quantity);
    expect(status).toBe(422);
    expect(body).toMatchObject({ code: 'purchase-limit-exceeded', max_purchase_limit: 4 });
  },
);

test('a purchase is shown only under its own event', async () => {
  const eventId = await make(5, 1);
  const other = await make(5, 1);
  const { body: bought } = await buy(eventId, 1);
  const { status, body } = await call(replica.address, `GET /events/${other}/purchases/${bought.id}`);
  expect([status, body.code]).toEqual([404, 'purchase-not-found']);
});

test.each([
  ['a purchase that does not exist', (eventId: string) => `/events/${eventId}/purchases/${nobody}`],
  ['an event that does not exist', () => `/events/${nobody}/purchases/${nobody}`],
])('to look up %s is 404', async (_name, path) => {
  const { status, body } = await call(replica.address, `GET ${path(await make(1, 1))}`);
  expect(status).toBe(404);
  expect(['purchase-not-found', 'event-not-found']).toContain(body.code);
});

test.each([
  ['event_id', () => `/events/1/purchases/${nobody}`],
  ['purchase_id', (eventId: string) => `/events/${eventId}/purchases/1`],
])('to look up a malformed %s is 400 and names it', async (name, path) => {
  const { status, body } = await call(replica.address, `GET ${path(await make(1, 1))}`);
  expect([status, body.code]).toEqual([400, 'validation']);
  expect(body.errors).toEqual([expect.objectContaining({ in: 'path', path: name })]);
});
