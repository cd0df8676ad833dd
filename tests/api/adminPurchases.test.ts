/**
 * Goal: the admin finds every purchase of an event, by what it is at the moment of the request.
 * Method: each filter and each wrong input of the contract's row; pages put together against the rows themselves; and a hold that is
 * due while an open transaction confirms it.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { beforeAll, expect, test } from '@jest/globals';
import { act, buy, lookUp, makeEvent } from '../support/client.js';
import { useDatabase } from '../support/database.js';
import { patientSettings, type Replica } from '../support/replica.js';
import { expectConserved } from '../support/sales.js';
import { withSessions } from '../interleavings/sessions.js';
import { call, nobody } from './call.js';

const database = useDatabase();
let replica: Replica;

beforeAll(async () => {
  replica = await database.startReplica({ ...patientSettings, SWEEP_INTERVAL_MS: '3600000' });
});

/** An event of holds. */
const make = () => makeEvent(replica.address, { total_quota: 100, max_purchase_limit: 4, hold_seconds: 600 });

async function hold(eventId: string, named: { buyer_id?: string; reference?: string } = {}): Promise<string> {
  const { status, body } = await buy(replica.address, eventId, 2, undefined, named);
  expect(status).toBe(201);
  return body.id;
}

async function list(eventId: string, query: Record<string, string> = {}) {
  const { status, body } = await call(replica.address, `GET /admin/events/${eventId}/purchases?${new URLSearchParams(query).toString()}`);
  expect(status).toBe(200);
  return body;
}

const idsOf = async (eventId: string, query: Record<string, string> = {}) => (await list(eventId, query)).data.map(({ id }) => id);
const endHold = (id: string) => database.sql.query(`UPDATE purchases SET expires_at = now() - interval '1 second' WHERE id = $1`, [id]);

/** Waits until this number of sessions wait for a lock. */
async function untilWaiting(sessions: number): Promise<void> {
  const waiting = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
  while ((await database.sql.query(waiting)).rowCount !== sessions) await pause(10);
}

/** One of each status; `due` is an expired hold that nothing has noticed yet. */
async function makeOfEach(eventId: string) {
  const of = { held: '', confirmed: '', released: '', cancelled: '', cancelledHold: '', due: '' };
  for (const name of Object.keys(of) as (keyof typeof of)[]) of[name] = await hold(eventId);
  for (const id of [of.confirmed, of.cancelled]) await act(replica.address, eventId, id, 'confirm');
  for (const id of [of.cancelled, of.cancelledHold]) await act(replica.address, eventId, id, 'cancel');
  await act(replica.address, eventId, of.released, 'release');
  await endHold(of.due);
  return of;
}

test('each purchase is shown as its own look-up shows it, the newest first', async () => {
  const eventId = await make();
  const of = await makeOfEach(eventId);
  const { data, next_cursor: next } = await list(eventId);
  const ids = Object.values(of).reverse();
  const lookedUp = await Promise.all(ids.map(async (id) => (await lookUp(replica.address, eventId, id)).body));
  expect(data).toEqual(lookedUp);
  expect(data.map((purchase) => purchase['status'])).toEqual(['expired', 'cancelled', 'cancelled', 'released', 'confirmed', 'held']);
  expect(data.map(({ tickets }) => tickets.length)).toEqual([0, 0, 2, 0, 2, 0]);
  expect(next).toBeNull();
});

test("a status is judged by the database's clock: an expired hold is found as expired and not as held, swept or not", async () => {
  const eventId = await make();
  const of = await makeOfEach(eventId);
  const expired = await hold(eventId);
  await database.sql.query(`UPDATE purchases SET status = 'expired' WHERE id = $1`, [expired]);
  expect(await idsOf(eventId, { status: 'held' })).toEqual([of.held]);
  expect(await idsOf(eventId, { status: 'confirmed' })).toEqual([of.confirmed]);
  expect(await idsOf(eventId, { status: 'released' })).toEqual([of.released]);
  expect(await idsOf(eventId, { status: 'cancelled' })).toEqual([of.cancelledHold, of.cancelled]);
  expect(await idsOf(eventId, { status: 'expired' })).toEqual([expired, of.due]);
});

test('filters by buyer, by reference, and by all of them together; a value is compared as it is', async () => {
  const eventId = await make();
  const anna = await hold(eventId, { buyer_id: 'anna', reference: 'order 1' });
  const other = await hold(eventId, { buyer_id: 'anna', reference: `"it's", 50 % 夜🎟` });
  const upper = await hold(eventId, { buyer_id: 'Anna', reference: 'order 1' });
  const empty = await hold(eventId, { reference: '' });
  const unnamed = await hold(eventId);
  await act(replica.address, eventId, other, 'confirm');
  expect(await idsOf(eventId)).toEqual([unnamed, empty, upper, other, anna]);
  expect(await idsOf(eventId, { buyer_id: 'anna' })).toEqual([other, anna]);
  expect(await idsOf(eventId, { reference: 'order 1' })).toEqual([upper, anna]);
  expect(await idsOf(eventId, { reference: `"it's", 50 % 夜🎟` })).toEqual([other]);
  expect(await idsOf(eventId, { reference: '' })).toEqual([empty]);
  expect(await idsOf(eventId, { buyer_id: 'anna', reference: 'order 1' })).toEqual([anna]);
  expect(await idsOf(eventId, { buyer_id: 'anna', status: 'confirmed' })).toEqual([other]);
  expect(await idsOf(eventId, { buyer_id: 'anna', status: 'held', reference: 'order 1' })).toEqual([anna]);
  expect(await idsOf(eventId, { buyer_id: '%', limit: '100' })).toEqual([]);
});

test('pages put together are everything once, with a filter and without, whatever is bought meanwhile', async () => {
  const eventId = await make();
  for (let n = 0; n < 7; n += 1) await hold(eventId, { buyer_id: n % 2 === 0 ? 'even' : 'odd' });
  for (const query of [{}, { buyer_id: 'even' }, { status: 'held' }, { status: 'held', buyer_id: 'odd' }]) {
    const whole = await idsOf(eventId, { ...query, limit: '100' });
    const paged: string[] = [];
    for (let cursor: string | null | undefined; cursor !== null;) {
      const { data, next_cursor: next } = await list(eventId, { ...query, limit: '2', ...(cursor === undefined ? {} : { cursor }) });
      expect(data.length).toBe(next === null ? data.length : 2);
      paged.push(...data.map(({ id }) => id));
      cursor = next;
      await hold(eventId, { buyer_id: 'even' });
    }
    expect(paged).toEqual(whole);
    expect(whole.length).toBeGreaterThan(2);
  }
});

test('a page has 20 purchases unless it is asked for another number, and only those of its event', async () => {
  const [eventId, other] = [await make(), await make()];
  const ids: string[] = [];
  for (let n = 0; n < 21; n += 1) ids.unshift(await hold(eventId));
  await hold(other);
  const { data, next_cursor: next } = await list(eventId);
  expect(data.map(({ id }) => id)).toEqual(ids.slice(0, 20));
  expect(next).toBe(ids[19]);
  expect(await idsOf(eventId, { cursor: next! })).toEqual(ids.slice(20));
  expect(await idsOf(eventId, { cursor: next!.toUpperCase(), limit: '1' })).toEqual(ids.slice(20));
  expect(await idsOf(eventId, { limit: '100' })).toEqual(ids);
});

test('an event without purchases has an empty page, and so has a filter that finds nothing', async () => {
  const eventId = await make();
  expect(await list(eventId)).toEqual({ data: [], next_cursor: null });
  await hold(eventId, { buyer_id: 'anna' });
  expect(await list(eventId, { buyer_id: 'bert' })).toEqual({ data: [], next_cursor: null });
});

test('a hold that is due is not called expired while a transaction may still confirm it', async () => {
  const eventId = await make();
  const id = await hold(eventId);
  const others = [await hold(eventId), await hold(eventId)];
  for (const due of [id, ...others]) await endHold(due);
  await withSessions(database.url, 1, async (session) => {
    // A confirmation that began in time and commits late.
    await session.query('BEGIN');
    await session.query(`UPDATE purchases SET status = 'confirmed' WHERE id = $1`, [id]);
    await session.query('INSERT INTO tickets (event_id, id, purchase_id) SELECT $1, gen_random_uuid(), $2 FROM generate_series(1, 2)', [
      eventId,
      id,
    ]);
    const listed = list(eventId);
    const expired = list(eventId, { status: 'expired' });
    await untilWaiting(2);
    await session.query('COMMIT');
    const { data } = await listed;
    expect(data.map((purchase) => [purchase.id, purchase['status'], purchase.tickets.length])).toEqual([
      ...others.reverse().map((other) => [other, 'expired', 0]),
      [id, 'confirmed', 2],
    ]);
    expect((await expired).data.map((purchase) => purchase.id)).toEqual(others);
  });
  await expectConserved(database.openPool(), eventId, 2);
});

test.each([
  ['an unknown status', 'status=open', 'status'],
  ['an empty status', 'status=', 'status'],
  ['two statuses', 'status=held&status=confirmed', 'status'],
  ['an empty buyer', 'buyer_id=', 'buyer_id'],
  ['two buyers', 'buyer_id=anna&buyer_id=bert', 'buyer_id'],
  ['a buyer with a space', 'buyer_id=anna%20b', 'buyer_id'],
  ['a buyer of 101 characters', `buyer_id=${'x'.repeat(101)}`, 'buyer_id'],
  ['two references', 'reference=1&reference=2', 'reference'],
  ['a reference of 201 characters', `reference=${'x'.repeat(201)}`, 'reference'],
  ['a reference with a NUL', 'reference=%00', 'reference'],
  ['a limit of 0', 'limit=0', 'limit'],
  ['a limit of 101', 'limit=101', 'limit'],
  ['a limit that is no number', 'limit=many', 'limit'],
  ['two limits', 'limit=1&limit=2', 'limit'],
  ['a malformed cursor', 'cursor=next', 'cursor'],
  ['two cursors', `cursor=${nobody}&cursor=${nobody}`, 'cursor'],
  ['an unknown parameter', 'buyer=anna', 'buyer'],
])('%s is 400 and named', async (_name, query, path) => {
  const eventId = await make();
  const { status, body } = await call(replica.address, `GET /admin/events/${eventId}/purchases?${query}`);
  expect([status, body.code]).toEqual([400, 'validation']);
  expect(body.errors).toEqual([{ in: 'query', path, message: expect.stringMatching(/^(must|is) /) }]);
});

test.each([
  ['of an unknown event', `GET /admin/events/${nobody}/purchases`, {}, 404, 'event-not-found'],
  ['of an unknown event with a filter', `GET /admin/events/${nobody}/purchases?status=held`, {}, 404, 'event-not-found'],
  ['of a malformed id', 'GET /admin/events/nothing/purchases', {}, 400, 'validation'],
  ['without a token', `GET /admin/events/${nobody}/purchases`, { admin: false }, 401, 'unauthorized'],
  ['by another method', `POST /admin/events/${nobody}/purchases`, { json: {} }, 405, 'method-not-allowed'],
] as const)('a list %s is refused', async (_name, line, options, status, code) => {
  const refused = await call(replica.address, line, options);
  expect([refused.status, refused.body.code]).toEqual([status, code]);
});
