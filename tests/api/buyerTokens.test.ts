/**
 * Goal: where buyers have tokens, each buys, sees, releases and repeats only what is his own, and without a valid token nobody makes
 * the server read a body.
 * Method: a replica that fetches its issuer's keys from an endpoint on loopback; requests of two buyers, the seller, the admin and
 * nobody, then the database.
 */
import { connect } from 'node:net';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { beforeAll, expect, test } from '@jest/globals';
import { makeEvent, type NewEvent } from '../support/client.js';
import { useDatabase } from '../support/database.js';
import {
  audience,
  claimsOf,
  type Endpoint,
  issuer,
  newKey,
  openEndpoint,
  sign,
  signWithSecret,
  type SigningKey,
} from '../support/issuer.js';
import { adminToken, patientSettings, type Replica } from '../support/replica.js';
import { expectConserved } from '../support/sales.js';
import { call, type Reply } from './call.js';
import { fingerprint } from './rows.js';

const database = useDatabase();
const sellerToken = 'the-seller-token-of-the-tests';
const settings = {
  ...patientSettings,
  SELLER_TOKEN: sellerToken,
  BUYER_JWT_ISSUER: issuer,
  BUYER_JWT_AUDIENCE: audience,
  BUYER_JWKS_TIMEOUT_MS: '20000',
  BUYER_JWKS_REFRESH_MS: '1000000',
};
let key: SigningKey;
let endpoint: Endpoint;
let replica: Replica;
let tokens: Record<'ann' | 'bob', string>;

beforeAll(async () => {
  key = await newKey('first');
  endpoint = database.closeLater(await openEndpoint(key));
  replica = await database.startReplica({ ...settings, BUYER_JWKS_URL: endpoint.url, BUYER_JWKS_COOLDOWN_MS: '1' });
  tokens = { ann: await sign(key, claimsOf('ann')), bob: await sign(key, claimsOf('bob')) };
});

const bearer = (token: string | undefined) => (token === undefined ? {} : { Authorization: `Bearer ${token}` });
const event = (rules: Partial<NewEvent> = {}) => makeEvent(replica.address, { total_quota: 50, max_purchase_limit: 10, ...rules });

function buy(eventId: string, token: string | undefined, json: unknown = { quantity: 2 }, key?: string): Promise<Reply> {
  const headers = { ...bearer(token), ...(key !== undefined && { 'Idempotency-Key': key }) };
  return call(replica.address, `POST /events/${eventId}/purchases`, { json, headers });
}

const show = (eventId: string, id: string, token?: string) =>
  call(replica.address, `GET /events/${eventId}/purchases/${id}`, { headers: bearer(token) });
const release = (eventId: string, id: string, token?: string) =>
  call(replica.address, `POST /events/${eventId}/purchases/${id}/release`, { headers: bearer(token) });
const outcomeOf = ({ status, body }: Reply) => (status < 400 ? status : `${String(status)} ${body.code}`);

test('nothing is bought or released without a valid token, and nothing is shown with an invalid one', async () => {
  const eventId = await event({ hold_seconds: 600 });
  const { body: held } = await buy(eventId, tokens.ann);
  const before = await fingerprint(database);
  const invalid = [
    'not-a-token',
    `${tokens.ann.slice(0, -8)}AAAAAAAA`,
    await sign(key, claimsOf('ann', { exp: 1_700_000_000 })),
    await sign(key, claimsOf('ann', { aud: 'another' })),
    await sign(key, claimsOf('ann', { iss: 'another' })),
    await sign(key, claimsOf('ann', { sub: undefined })),
    await sign(key, claimsOf('ann', { filler: 'x'.repeat(4_000) })),
    await sign({ ...(await newKey('first')), kid: 'first' }, claimsOf('ann')),
    await signWithSecret('a-secret-of-thirty-two-bytes-or-more', claimsOf('ann')),
  ];
  for (const token of [undefined, ...invalid]) {
    for (const answer of [await buy(eventId, token), await release(eventId, held.id, token)]) {
      expect([token, outcomeOf(answer)]).toEqual([token, '401 unauthorized']);
      const challenge = `Bearer realm="onsale"${token === undefined ? '' : ', error="invalid_token"'}`;
      expect(answer.headers['www-authenticate']).toBe(challenge);
    }
    expect(outcomeOf(await show(eventId, held.id, token))).toBe(token === undefined ? '404 purchase-not-found' : '401 unauthorized');
  }
  expect(await fingerprint(database)).toEqual(before);
});

test('a token is looked for before the body: an unknown sender is answered without having sent one', async () => {
  const eventId = await event();
  for (const path of [`/events/${eventId}/purchases`, `/events/${eventId}/purchases/${eventId}/release`]) {
    const socket = connect(Number(new URL(replica.address).port), '127.0.0.1');
    await once(socket, 'connect');
    socket.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n`);
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 401 /);
  }
  const malformed = await call(replica.address, `POST /events/${eventId}/purchases`, { raw: '{' });
  expect(outcomeOf(malformed)).toBe('401 unauthorized');
  const withToken = await call(replica.address, `POST /events/${eventId}/purchases`, { raw: '{', headers: bearer(tokens.ann) });
  expect(outcomeOf(withToken)).toBe('400 validation');
});

test('the subject is the buyer: it need not be named, and nobody else can be', async () => {
  const eventId = await event({ max_per_buyer: 4 });
  expect(await buy(eventId, tokens.ann)).toMatchObject({ status: 201, body: { buyer_id: 'ann' } });
  const before = await fingerprint(database);
  expect(outcomeOf(await buy(eventId, tokens.ann, { quantity: 1, buyer_id: 'bob' }))).toBe('422 buyer-mismatch');
  expect(await fingerprint(database)).toEqual(before);
  expect(await buy(eventId, tokens.ann, { quantity: 2, buyer_id: 'ann' })).toMatchObject({ status: 201, body: { buyer_id: 'ann' } });
  expect(await buy(eventId, tokens.ann, { quantity: 1 })).toMatchObject({
    status: 409,
    body: { code: 'buyer-limit-exceeded', remaining: 0 },
  });
  await expectConserved(database.openPool(), eventId, 4);
});

test('a purchase is shown, released and replayed to its own buyer; for another it does not exist', async () => {
  const eventId = await event({ hold_seconds: 600 });
  const [idempotencyKey, body] = ['a-key-that-ann-made-up', { quantity: 2, reference: 'r' }];
  const { body: held } = await buy(eventId, tokens.ann, body, idempotencyKey);
  const before = await fingerprint(database);
  expect(outcomeOf(await show(eventId, held.id, tokens.bob))).toBe('404 purchase-not-found');
  expect(outcomeOf(await show(eventId, held.id))).toBe('404 purchase-not-found');
  expect(outcomeOf(await release(eventId, held.id, tokens.bob))).toBe('404 purchase-not-found');
  expect(outcomeOf(await buy(eventId, tokens.bob, body, idempotencyKey))).toBe('404 purchase-not-found');
  expect(outcomeOf(await buy(eventId, tokens.bob, { quantity: 1 }, idempotencyKey))).toBe('404 purchase-not-found');
  expect(await fingerprint(database)).toEqual(before);
  expect((await show(eventId, held.id, tokens.ann)).body).toEqual(held);
  // Another token of the same buyer, and the buyer named or not: it is the same purchase.
  const another = await sign(key, claimsOf('ann', { jti: 'another' }));
  const replay = await buy(eventId, another, { ...body, buyer_id: 'ann' }, idempotencyKey);
  expect([replay.status, replay.headers['idempotency-replayed'], replay.body]).toEqual([201, 'true', held]);
  expect(await release(eventId, held.id, another)).toMatchObject({ status: 200, body: { id: held.id, status: 'released' } });
  await expectConserved(database.openPool(), eventId, 0);
});

test('the seller and the admin name any buyer, and see, release and replay what any buyer has', async () => {
  const eventId = await event({ hold_seconds: 600 });
  const idempotencyKey = 'a-key-that-bob-made-up';
  const { body: bobs } = await buy(eventId, tokens.bob, { quantity: 1 }, idempotencyKey);
  for (const token of [sellerToken, adminToken]) {
    expect((await show(eventId, bobs.id, token)).body).toEqual(bobs);
    const replay = await buy(eventId, token, { quantity: 1, buyer_id: 'bob' }, idempotencyKey);
    expect([replay.status, replay.body]).toEqual([201, bobs]);
    const { body: forAnn } = await buy(eventId, token, { quantity: 1, buyer_id: 'ann' });
    expect((await show(eventId, forAnn.id, tokens.ann)).body).toEqual(forAnn);
    expect(await release(eventId, forAnn.id, token)).toMatchObject({ status: 200, body: { status: 'released' } });
  }
  await expectConserved(database.openPool(), eventId, 0, 1);
});

test('a purchase that names no buyer is the seller’s own', async () => {
  const eventId = await event({ hold_seconds: 600 });
  const { body: unnamed } = await buy(eventId, sellerToken, { quantity: 1 }, 'a-key-of-the-seller');
  expect(unnamed['buyer_id']).toBeNull();
  expect(outcomeOf(await show(eventId, unnamed.id))).toBe('404 purchase-not-found');
  expect(outcomeOf(await show(eventId, unnamed.id, tokens.ann))).toBe('404 purchase-not-found');
  expect(outcomeOf(await release(eventId, unnamed.id, tokens.ann))).toBe('404 purchase-not-found');
  expect(outcomeOf(await buy(eventId, tokens.ann, { quantity: 1 }, 'a-key-of-the-seller'))).toBe('404 purchase-not-found');
  expect(outcomeOf(await release(eventId, unnamed.id, sellerToken))).toBe(200);
});

test('of many buyers with one key at once, one has the purchase and the others never see it', async () => {
  const eventId = await event();
  const buyers = await Promise.all(Array.from({ length: 30 }, (_, index) => sign(key, claimsOf(`buyer-${String(index % 10)}`))));
  const answers = await Promise.all(buyers.map((token) => buy(eventId, token, { quantity: 1 }, 'one-key-for-all-of-them')));
  const granted = answers.filter(({ status }) => status === 201);
  expect(granted).toHaveLength(3);
  expect(new Set(granted.map(({ body }) => body.id)).size).toBe(1);
  expect(answers.filter((answer) => outcomeOf(answer) === '404 purchase-not-found')).toHaveLength(27);
  await expectConserved(database.openPool(), eventId, 1);
});

test('a rotated key is accepted with its first token, and tokens of the key before go on', async () => {
  const eventId = await event();
  const next = await newKey('second', 'EdDSA');
  endpoint.publish(key, next);
  expect((await buy(eventId, await sign(next, claimsOf('ann')))).status).toBe(201);
  expect((await buy(eventId, await sign(key, claimsOf('ann')))).status).toBe(201);
  const stranger = await newKey('third');
  expect(outcomeOf(await buy(eventId, await sign(stranger, claimsOf('ann'))))).toBe('401 unauthorized');
});

test('while no keys can be fetched, buyers are asked to come again and the seller sells', async () => {
  const down = await openEndpoint();
  await down.close();
  const { address } = await database.startReplica({ ...settings, BUYER_JWKS_URL: down.url });
  const eventId = await event();
  const line = `POST /events/${eventId}/purchases`;
  const refused = await call(address, line, { json: { quantity: 1 }, headers: bearer(tokens.ann) });
  expect(outcomeOf(refused)).toBe('503 overloaded');
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
  expect(outcomeOf(await call(address, line, { json: { quantity: 1 } }))).toBe('401 unauthorized');
  const sold = await call(address, line, { json: { quantity: 1, buyer_id: 'ann' }, headers: bearer(sellerToken) });
  expect(sold.status).toBe(201);
  expect(await call(address, 'GET /readyz')).toMatchObject({ status: 200 });
  await expectConserved(database.openPool(), eventId, 1);
});

test('with a shared secret, tokens that it signed are accepted, and none of the keys', async () => {
  const secret = 'a-secret-of-thirty-two-bytes-or-more';
  const { address } = await database.startReplica({ ...settings, BUYER_JWT_SECRET: secret });
  const line = `POST /events/${await event()}/purchases`;
  const withSecret = bearer(await signWithSecret(secret, claimsOf('cid')));
  expect(await call(address, line, { json: { quantity: 1 }, headers: withSecret })).toMatchObject({
    status: 201,
    body: { buyer_id: 'cid' },
  });
  expect(outcomeOf(await call(address, line, { json: { quantity: 1 }, headers: bearer(tokens.ann) }))).toBe('401 unauthorized');
});
