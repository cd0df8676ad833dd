/**
 * Goal: no route shows or changes admin data without the token.
 * Method: every admin route that the OpenAPI document names, with every kind of wrong credentials, then the database.
 */
import { beforeAll, expect, test } from '@jest/globals';
import request from 'supertest';
import { buy, makeEvent } from '../support/client.js';
import { useDatabase } from '../support/database.js';
import { adminToken, type Replica } from '../support/replica.js';
import { call, publishedDocument } from './call.js';
import { fingerprint } from './rows.js';

const database = useDatabase();
let replica: Replica;
let eventId: string;
let purchaseId: string;

const routes = [
  ['POST', '/admin/events', { name: 'x', total_quota: 1, max_purchase_limit: 1 }],
  ['GET', '/admin/events', undefined],
  ['GET', '/admin/events/{event_id}', undefined],
  ['PATCH', '/admin/events/{event_id}', { name: 'y' }],
  ['GET', '/admin/events/{event_id}/audit', undefined],
  ['GET', '/admin/events/{event_id}/purchases', undefined],
  ['GET', '/admin/events/{event_id}/tickets.csv', undefined],
  ['POST', '/admin/events/{event_id}/purchases/{purchase_id}/cancel', {}],
] as const;

const credentials: readonly (readonly [string, Record<string, string>])[] = [
  ['no token', {}],
  ['an empty header', { Authorization: '' }],
  ['a wrong token', { Authorization: 'Bearer the-admin-token-of-the-testz' }],
  ['a token of another length', { Authorization: `Bearer ${adminToken}x` }],
  ['the beginning of the token', { Authorization: `Bearer ${adminToken.slice(0, -1)}` }],
  ['the token in capitals', { Authorization: `Bearer ${adminToken.toUpperCase()}` }],
  ['the token without a scheme', { Authorization: adminToken }],
  ['the scheme without a token', { Authorization: 'Bearer' }],
  ['the token and more', { Authorization: `Bearer ${adminToken} ${adminToken}` }],
  ['another scheme', { Authorization: `Basic ${Buffer.from(`admin:${adminToken}`).toString('base64')}` }],
  ['another header', { 'X-Admin-Token': adminToken }],
];

beforeAll(async () => {
  replica = await database.startReplica();
  eventId = await makeEvent(replica.address, { total_quota: 5, max_purchase_limit: 1 });
  purchaseId = (await buy(replica.address, eventId, 1)).body.id;
});

test('the routes tested here are all the admin routes of the document', async () => {
  const operations = (await publishedDocument(replica.address)).operations().filter(([, path]) => path.startsWith('/admin'));
  const documented = operations.map(([method, path]) => `${method} ${path}`);
  const listed: string[] = routes.map(([method, path]) => `${method} ${path}`);
  expect([...documented].sort()).toEqual([...listed].sort());
});

test.each(routes)('%s %s needs the token', async (method, path, json) => {
  const line = `${method} ${path.replace('{event_id}', eventId).replace('{purchase_id}', purchaseId)}`;
  const before = await fingerprint(database);
  for (const [name, headers] of credentials) {
    const { status, headers: got, body } = await call(replica.address, line, { json, headers, admin: false });
    expect([name, status, body.code]).toEqual([name, 401, 'unauthorized']);
    expect([name, got['www-authenticate']]).toEqual([name, expect.stringMatching(/^Bearer/)]);
  }
  expect(await fingerprint(database)).toEqual(before);
  const allowed = await call(replica.address, line, { json, admin: true });
  expect(allowed.status).toBeLessThan(300);
});

test('the scheme may be written in any case', async () => {
  const { status } = await call(replica.address, 'GET /admin/events', { headers: { Authorization: `bearer ${adminToken}` }, admin: false });
  expect(status).toBe(200);
});

test('without the token nothing else is revealed: neither a wrong body, nor a wrong method, nor whether a path exists', async () => {
  const lines = ['GET /admin/nothing', 'DELETE /admin/events', 'GET /admin/events/not-a-uuid', 'HEAD /admin/events', 'GET /admin'];
  for (const line of lines) {
    const { status } = await call(replica.address, line, { admin: false });
    expect([line, status]).toEqual([line, 401]);
  }
  const broken = await call(replica.address, 'POST /admin/events', { raw: '{', admin: false });
  expect(broken.status).toBe(401);
});

test.each([
  '/ADMIN/EVENTS',
  '/Admin/events/',
  '//admin/events',
  '/%61dmin/events',
  '/./admin/events',
  '/events/../admin/events',
  '/admin%2fevents',
])('no spelling of a path goes around the token: %s', async (path) => {
  const answers = [
    await request(replica.app).get(path),
    await request(replica.app).post(path).send({ name: 'x', total_quota: 1, max_purchase_limit: 1 }),
  ];
  for (const { status } of answers) expect([400, 401, 404, 405]).toContain(status);
});

test('the token is in no answer', async () => {
  const { text, headers } = await call(replica.address, 'GET /admin/events', {
    headers: { Authorization: `Basic ${adminToken}` },
    admin: false,
  });
  expect(`${text}${JSON.stringify(headers)}`).not.toContain(adminToken);
});
