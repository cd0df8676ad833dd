/**
 * Goal: each change by the admin is in the log with its request and what changed; what changed nothing is not, and no secret ever is.
 * Method: the lines that a replica writes while requests change its events.
 */
import { beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import { buy } from '../support/client.js';
import { useDatabase } from '../support/database.js';
import { adminToken, patientSettings, type Replica } from '../support/replica.js';
import { call, nobody } from './call.js';

const database = useDatabase();
let replica: Replica;
let lines: [details: object, message: string][];

beforeAll(async () => {
  replica = await database.startReplica(patientSettings);
  jest.spyOn(replica.log, 'info').mockImplementation(((...line: [object, string]) => lines.push(line)) as never);
});
beforeEach(() => {
  lines = [];
});

const rules = { name: 'First night', total_quota: 100, max_purchase_limit: 4 };
const as = (requestId: string) => ({ 'X-Request-Id': requestId });

async function make(): Promise<string> {
  const { body } = await call(replica.address, 'POST /admin/events', { json: rules });
  lines = [];
  return body.id;
}

test('a new event is logged with its values', async () => {
  const { body } = await call(replica.address, 'POST /admin/events', { json: { ...rules, hold_seconds: 60 }, headers: as('first') });
  expect(lines).toEqual([
    [{ request_id: 'first', event_id: body.id, created: { ...rules, hold_seconds: 60 } }, 'the admin created an event'],
  ]);
});

test('a change is logged with the new values, and a refused one is not', async () => {
  const id = await make();
  const changed = { max_purchase_limit: 2, sale_ends_at: null };
  await call(replica.address, `PATCH /admin/events/${id}`, { json: changed, headers: as('second') });
  for (const json of [{ max_purchase_limit: 101 }, { total_quota: 5 }, {}])
    await call(replica.address, `PATCH /admin/events/${id}`, { json });
  expect(lines).toEqual([[{ request_id: 'second', event_id: id, changed }, 'the admin changed an event']]);
});

test('a cancelled purchase is logged with its quantity, and one that does not exist is not', async () => {
  const id = await make();
  const { status, body: bought } = await buy(replica.address, id, 3, 'the-secret-key-of-a-buyer');
  expect(status).toBe(201);
  const cancel = (purchaseId: string) => `POST /admin/events/${id}/purchases/${purchaseId}/cancel`;
  await call(replica.address, cancel(bought.id), { headers: as('third') });
  expect((await call(replica.address, cancel(nobody))).status).toBe(404);
  expect(lines).toEqual([
    [{ request_id: 'third', event_id: id, cancelled: { purchase_id: bought.id, quantity: 3 } }, 'the admin cancelled a purchase'],
  ]);
});

test('looking changes nothing and is not logged, and no line has a token or a key', async () => {
  const id = await make();
  await buy(replica.address, id, 1, 'the-secret-key-of-a-buyer');
  for (const path of ['', `/${id}`, `/${id}/audit`, `/${id}/purchases`]) await call(replica.address, `GET /admin/events${path}`);
  expect(lines).toEqual([]);
  await call(replica.address, `PATCH /admin/events/${id}`, { json: { name: 'Second night' } });
  expect(lines).toHaveLength(1);
  expect(JSON.stringify(lines)).not.toMatch(new RegExp(`${adminToken}|the-secret-key-of-a-buyer`));
});
