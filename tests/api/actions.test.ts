/**
 * Goal: confirm and release take what API.md says ("Purchases") and nothing else: tokens, bodies, ids and methods.
 * Method: every wrong call over HTTP gets its documented answer and changes nothing. What they answer to a purchase in each status is
 * in holds.test.ts.
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { buy, makeEvent } from '../support/client.js';
import { useDatabase } from '../support/database.js';
import { adminToken, type Replica } from '../support/replica.js';
import { call, nobody, type Options, type Reply } from './call.js';
import { fingerprint } from './rows.js';

const database = useDatabase();
const sellerToken = 'the-seller-token-of-the-tests';
let replica: Replica;

beforeAll(async () => {
  replica = await database.startReplica({ SELLER_TOKEN: sellerToken, SWEEP_INTERVAL_MS: '3600000' });
});

const make = () => makeEvent(replica.address, { total_quota: 10, max_purchase_limit: 5, hold_seconds: 600 });
const hold = async (eventId: string) => (await buy(replica.address, eventId, 2)).body.id;
const asSeller = { headers: { Authorization: `Bearer ${sellerToken}` } };
const act = (action: string, eventId: string, purchaseId: string, options: Options = {}) =>
  call(replica.address, `POST /events/${eventId}/purchases/${purchaseId}/${action}`, {
    ...(action === 'confirm' ? asSeller : {}),
    ...options,
  });

async function unchanged(work: () => Promise<Reply>): Promise<Reply> {
  const before = await fingerprint(database);
  const reply = await work();
  expect(await fingerprint(database)).toEqual(before);
  return reply;
}

describe('the token of a confirmation', () => {
  test.each([
    ['none', {}, true],
    ['a wrong one', { Authorization: 'Bearer not-the-token-of-anybody' }, true],
    ['one of another scheme', { Authorization: `Basic ${sellerToken}` }, true],
    ["the admin's", { Authorization: `Bearer ${adminToken}` }, false],
    ["the seller's", { Authorization: `Bearer ${sellerToken}` }, false],
  ])('is %s', async (_what, headers, isRefused) => {
    const eventId = await make();
    const held = await hold(eventId);
    const line = `POST /events/${eventId}/purchases/${held}/confirm`;
    if (!isRefused) {
      expect((await call(replica.address, line, { headers })).status).toBe(200);
      return;
    }
    const refused = await unchanged(() => call(replica.address, line, { headers }));
    expect([refused.status, refused.body.code]).toEqual([401, 'unauthorized']);
    expect(refused.headers['www-authenticate']).toMatch(/^Bearer realm=/);
  });

  test("is the admin's alone where there is no seller, and the seller's is no admin's", async () => {
    const alone = await database.startReplica();
    const eventId = await make();
    const line = async () => `POST /events/${eventId}/purchases/${await hold(eventId)}/confirm`;
    expect((await call(alone.address, await line(), asSeller)).status).toBe(401);
    expect((await call(alone.address, await line(), { admin: true })).status).toBe(200);
    expect((await call(replica.address, 'GET /admin/events', asSeller)).status).toBe(401);
  });

  test('is not needed to release: who has the id may', async () => {
    const eventId = await make();
    expect((await act('release', eventId, await hold(eventId))).status).toBe(200);
  });
});

describe.each(['confirm', 'release'])('to %s', (action) => {
  test.each([
    ['no body', {}],
    ['{}', { json: {} }],
    ['{} with blanks', { raw: ' { } ' }],
  ])('takes %s', async (_what, options) => {
    const eventId = await make();
    const held = await hold(eventId);
    expect((await act(action, eventId, held, options)).status).toBe(200);
  });

  test.each([
    ['a member', { json: { quantity: 2 } }, 400, 'validation'],
    ['a list', { json: [] }, 400, 'validation'],
    ['null', { raw: 'null' }, 400, 'validation'],
    ['a string', { json: 'now' }, 400, 'validation'],
    ['what is no JSON', { raw: '{' }, 400, 'validation'],
    ['another type', { raw: 'x=1', headers: { 'Content-Type': 'application/x-www-form-urlencoded' } }, 415, 'unsupported-media-type'],
    ['too much', { raw: '{}'.padEnd(4_097) }, 413, 'body-too-large'],
  ])('does not take %s', async (_what, options: Options, status, code) => {
    const eventId = await make();
    const held = await hold(eventId);
    const headers = { ...(action === 'confirm' ? asSeller.headers : {}), ...options.headers };
    const refused = await unchanged(() => act(action, eventId, held, { ...options, headers }));
    expect([refused.status, refused.body.code]).toEqual([status, code]);
  });

  test('names a malformed id, and knows no other purchase', async () => {
    const [eventId, other] = [await make(), await make()];
    const held = await hold(eventId);
    for (const [path, ...ids] of [
      ['event_id', '1', held],
      ['purchase_id', eventId, '1'],
    ] as const) {
      const { status, body } = await unchanged(() => act(action, ids[0], ids[1]));
      expect([status, body.code, body.errors]).toEqual([400, 'validation', [expect.objectContaining({ in: 'path', path })]]);
    }
    for (const [of, id] of [
      [eventId, nobody],
      [other, held],
    ] as const) {
      const { status, body } = await unchanged(() => act(action, of, id));
      expect([status, body.code]).toEqual([404, 'purchase-not-found']);
    }
    const { status, body } = await unchanged(() => act(action, nobody, held));
    expect([status, body.code]).toEqual([404, action === 'release' ? 'event-not-found' : 'purchase-not-found']);
  });

  test('is a POST and nothing else', async () => {
    const eventId = await make();
    const held = await hold(eventId);
    for (const method of ['GET', 'PUT', 'PATCH', 'DELETE']) {
      const refused = await unchanged(() => call(replica.address, `${method} /events/${eventId}/purchases/${held}/${action}`, asSeller));
      expect([method, refused.status, refused.headers['allow']]).toEqual([method, 405, 'POST, OPTIONS']);
    }
  });

  test('works with the id in capitals', async () => {
    const eventId = await make();
    const held = await hold(eventId);
    expect((await act(action, eventId.toUpperCase(), held.toUpperCase())).status).toBe(200);
  });
});
