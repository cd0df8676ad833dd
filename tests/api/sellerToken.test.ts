/**
 * Goal: purchases are confirmed by the seller and the admin and by nobody else, and the seller is no admin.
 * Method: the same hold, with every kind of credentials, on replicas with and without SELLER_TOKEN; then the database.
 */
import { beforeAll, expect, test } from '@jest/globals';
import { makeEvent } from '../support/client.js';
import { useDatabase } from '../support/database.js';
import { adminToken, patientSettings, type Replica } from '../support/replica.js';
import { expectConserved } from '../support/sales.js';
import { call } from './call.js';
import { fingerprint } from './rows.js';

const database = useDatabase();
const sellerToken = 'the-seller-token-of-the-tests';
let replica: Replica;
let withoutSeller: Replica;

beforeAll(async () => {
  replica = await database.startReplica({ ...patientSettings, SELLER_TOKEN: sellerToken });
  withoutSeller = await database.startReplica(patientSettings);
});

const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });

/** @returns an event, and the path of a hold of two of its tickets */
async function hold(): Promise<{ eventId: string; path: string }> {
  const eventId = await makeEvent(replica.address, { total_quota: 5, max_purchase_limit: 2, hold_seconds: 600 });
  const { body } = await call(replica.address, `POST /events/${eventId}/purchases`, { json: { quantity: 2 } });
  return { eventId, path: `/events/${eventId}/purchases/${body.id}` };
}

test.each([
  ['the seller', sellerToken],
  ['the admin', adminToken],
])('%s confirms, and again with the same answer', async (_, token) => {
  const { eventId, path } = await hold();
  const first = await call(replica.address, `POST ${path}/confirm`, { headers: bearer(token) });
  expect(first).toMatchObject({ status: 200, body: { status: 'confirmed', tickets: [{}, {}] } });
  const again = await call(replica.address, `POST ${path}/confirm`, { headers: bearer(token), json: {} });
  expect([again.status, again.body]).toEqual([200, first.body]);
  await expectConserved(database.openPool(), eventId, 2);
});

test('nobody else confirms: the hold stays as it is', async () => {
  const { eventId, path } = await hold();
  const before = await fingerprint(database);
  const credentials = [
    {},
    bearer(`${sellerToken}x`),
    bearer(sellerToken.slice(0, -1)),
    bearer(sellerToken.toUpperCase()),
    { Authorization: sellerToken },
    { Authorization: `Basic ${Buffer.from(`seller:${sellerToken}`).toString('base64')}` },
  ];
  for (const headers of credentials) {
    for (const sent of [{}, { raw: '{' }]) {
      const answer = await call(replica.address, `POST ${path}/confirm`, { headers, ...sent });
      expect([headers, answer.status, answer.body.code]).toEqual([headers, 401, 'unauthorized']);
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer realm="onsale"/);
    }
  }
  expect(await fingerprint(database)).toEqual(before);
  await expectConserved(database.openPool(), eventId, 0, 2);
});

test('without SELLER_TOKEN only the admin confirms', async () => {
  const { path } = await hold();
  expect((await call(withoutSeller.address, `POST ${path}/confirm`, { headers: bearer(sellerToken) })).status).toBe(401);
  expect((await call(withoutSeller.address, `POST ${path}/confirm`, { headers: bearer(adminToken) })).status).toBe(200);
});

test('the seller is no admin', async () => {
  const lines = ['GET /admin/events', 'POST /admin/events', 'GET /admin/nothing'];
  for (const line of lines) {
    const answer = await call(replica.address, line, { headers: bearer(sellerToken), admin: false });
    expect([line, answer.status]).toEqual([line, 401]);
  }
});

test('where buyers need no token, anyone buys for anyone, sees and releases what he knows the id of, whatever token he sends', async () => {
  const eventId = await makeEvent(replica.address, { total_quota: 5, max_purchase_limit: 2, hold_seconds: 600 });
  for (const headers of [{}, bearer('a-token-of-nobody')]) {
    const { status, body } = await call(replica.address, `POST /events/${eventId}/purchases`, {
      json: { quantity: 1, buyer_id: 'somebody' },
      headers,
    });
    expect(status).toBe(201);
    const path = `/events/${eventId}/purchases/${body.id}`;
    expect((await call(replica.address, `GET ${path}`, { headers })).body).toEqual(body);
    expect((await call(replica.address, `POST ${path}/release`, { headers })).body['status']).toBe('released');
  }
  await expectConserved(database.openPool(), eventId, 0);
});

test('neither token is in an answer or in the sentence that a start prints', async () => {
  const answer = await call(replica.address, 'GET /admin/events', { headers: { Authorization: `Basic ${sellerToken}` }, admin: false });
  expect(`${answer.text}${JSON.stringify(answer.headers)}`).not.toContain(sellerToken);
  expect(replica.whoMay).toBe('Purchases can be confirmed by the seller, with SELLER_TOKEN, and the admin, and made by anyone');
  expect(withoutSeller.whoMay).toBe('Purchases can be confirmed only by the admin, because SELLER_TOKEN is not set, and made by anyone');
});
