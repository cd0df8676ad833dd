/**
 * Goal: the admin makes events, finds them, changes what may change, sees the books; nobody does without the token.
 * Method: each row of the contract's admin table once as promised and once for each way to be refused.
 */
import { beforeAll, expect, test } from '@jest/globals';
import { useDatabase } from '../support/database.js';
import type { Replica } from '../support/replica.js';
import { anyTime, anyUuidV7, call, noRules, nobody } from './call.js';
import { fingerprint } from './rows.js';

const database = useDatabase();
let replica: Replica;

beforeAll(async () => {
  replica = await database.startReplica();
});

async function make(json: object = {}): Promise<string> {
  const made = await call(replica.address, 'POST /admin/events', {
    json: { name: 'First night', total_quota: 100, max_purchase_limit: 4, ...json },
  });
  expect(made.status).toBe(201);
  return made.body.id;
}

test('a new event has all of its quota available, and Location leads to it', async () => {
  const json = { name: 'Zürich – 夜 🎟', total_quota: 100, max_purchase_limit: 4 };
  const made = await call(replica.address, 'POST /admin/events', { json });
  expect(made.status).toBe(201);
  expect(made.body).toEqual({
    ...json,
    ...noRules,
    id: anyUuidV7,
    available_quantity: 100,
    status: 'on_sale',
    created_at: anyTime,
    updated_at: anyTime,
  });
  expect(Math.abs(Date.parse(made.body['created_at'] as string) - Date.now())).toBeLessThan(60_000);

  const found = await call(replica.address, `GET ${String(made.headers['location'])}`, { admin: true });
  expect(found.status).toBe(200);
  expect(found.body).toEqual({ ...made.body, sold_quantity: 0, held_quantity: 0 });
});

test.each([
  ['the smallest values', { name: 'x', total_quota: 1, max_purchase_limit: 1 }],
  ['the largest values', { name: 'x'.repeat(200), total_quota: 10_000_000, max_purchase_limit: 1_000 }],
  ['a limit that is its quota', { name: 'x', total_quota: 1_000, max_purchase_limit: 1_000 }],
  ['a quota written as 1e2', { name: 'x', total_quota: 1e2, max_purchase_limit: 1 }],
])('an event may have %s', async (_name, json) => {
  const made = await call(replica.address, 'POST /admin/events', { json });
  expect(made.status).toBe(201);
  expect(made.body).toMatchObject(json);
});

test('an event shows what was sold of it', async () => {
  const id = await make();
  await call(replica.address, `POST /events/${id}/purchases`, { json: { quantity: 3 } });
  const { status, body } = await call(replica.address, `GET /admin/events/${id}`);
  expect(status).toBe(200);
  expect(body).toMatchObject({ total_quota: 100, available_quantity: 97, sold_quantity: 3, held_quantity: 0 });
});

test.each([
  ['the name', { name: 'Second night' }],
  ['the limit', { max_purchase_limit: 7 }],
  ['both', { name: 'Third night', max_purchase_limit: 9 }],
])('%s can be changed, and nothing else changes with it', async (_name, change) => {
  const id = await make();
  const { body: before } = await call(replica.address, `GET /events/${id}`);
  const changed = await call(replica.address, `PATCH /admin/events/${id}`, { json: change });
  expect(changed.status).toBe(200);
  expect(changed.body).toEqual({ ...before, ...change, updated_at: anyTime });
  expect(Date.parse(changed.body['updated_at'] as string)).toBeGreaterThanOrEqual(Date.parse(before['updated_at'] as string));
  const { body: after } = await call(replica.address, `GET /events/${id}`);
  expect(after).toEqual(changed.body);
});

test('a lowered limit binds the next purchase', async () => {
  const id = await make();
  await call(replica.address, `PATCH /admin/events/${id}`, { json: { max_purchase_limit: 1 } });
  const refused = await call(replica.address, `POST /events/${id}/purchases`, { json: { quantity: 2 } });
  expect(refused.status).toBe(422);
  expect(refused.body).toMatchObject({ code: 'purchase-limit-exceeded', max_purchase_limit: 1 });
});

test.each([
  ['alone', { total_quota: 200 }],
  ['unchanged', { total_quota: 100 }],
  ['beside what may change', { name: 'Bigger', total_quota: 200 }],
  ['as null', { total_quota: null }],
])('the quota is fixed: naming it %s is refused and changes nothing', async (_name, json) => {
  const id = await make();
  const before = await fingerprint(database);
  const refused = await call(replica.address, `PATCH /admin/events/${id}`, { json });
  expect(refused.status).toBe(422);
  expect(refused.body.code).toBe('quota-fixed');
  expect(await fingerprint(database)).toEqual(before);
});

test.each([
  ['{}', {}],
  ['a name of null', { name: null }],
  ['an empty name', { name: '' }],
  ['a limit of 0', { max_purchase_limit: 0 }],
  ['a limit of 1001', { max_purchase_limit: 1_001 }],
  ['available_quantity', { available_quantity: 5 }],
  ['an id', { id: nobody }],
])('a change to %s is refused and changes nothing', async (_name, json) => {
  const id = await make();
  const before = await fingerprint(database);
  const refused = await call(replica.address, `PATCH /admin/events/${id}`, { json });
  expect(refused.status).toBe(400);
  expect(refused.body.code).toBe('validation');
  expect(await fingerprint(database)).toEqual(before);
});

test('the audit counts the rows: it agrees with what was sold', async () => {
  const id = await make({ total_quota: 10 });
  for (const quantity of [1, 4, 2]) await call(replica.address, `POST /events/${id}/purchases`, { json: { quantity } });
  const { status, body } = await call(replica.address, `GET /admin/events/${id}/audit`);
  expect(status).toBe(200);
  expect(body).toEqual({
    event_id: id,
    total_quota: 10,
    available_quantity: 3,
    held_quantity: 0,
    sold_quantity: 7,
    tickets_issued: 7,
    consistent: true,
  });
});

test('the audit tells when a ticket is missing or a counter is wrong', async () => {
  const id = await make({ total_quota: 10 });
  await call(replica.address, `POST /events/${id}/purchases`, { json: { quantity: 2 } });
  await database.sql.query('DELETE FROM tickets WHERE id = (SELECT max(id::text)::uuid FROM tickets WHERE event_id = $1)', [id]);
  const missing = await call(replica.address, `GET /admin/events/${id}/audit`);
  expect(missing.body).toMatchObject({ available_quantity: 8, sold_quantity: 2, tickets_issued: 1, consistent: false });

  const other = await make({ total_quota: 10 });
  await database.sql.query('UPDATE events SET available = 9 WHERE id = $1', [other]);
  const wrong = await call(replica.address, `GET /admin/events/${other}/audit`);
  expect(wrong.body).toMatchObject({ available_quantity: 9, sold_quantity: 0, tickets_issued: 0, consistent: false });
});

test.each([
  ['GET', ''],
  ['PATCH', ''],
  ['GET', '/audit'],
])('%s of an event%s that does not exist is 404 event-not-found, of a malformed id 400', async (method, suffix) => {
  const options = method === 'PATCH' ? { json: { name: 'x' } } : {};
  const missing = await call(replica.address, `${method} /admin/events/${nobody}${suffix}`, options);
  expect([missing.status, missing.body.code]).toEqual([404, 'event-not-found']);
  const malformed = await call(replica.address, `${method} /admin/events/not-a-uuid${suffix}`, options);
  expect([malformed.status, malformed.body.code]).toEqual([400, 'validation']);
  expect(malformed.body.errors).toEqual([expect.objectContaining({ in: 'path', path: 'event_id' })]);
});
