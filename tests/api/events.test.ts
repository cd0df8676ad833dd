/**
 * Goal: a buyer finds every event, newest first, each once, and sees what is left of it in real time.
 * Method: a page at a time over more events than fit one, on the buyers' list and on the admin's; then each wrong page.
 */
import { beforeAll, expect, test } from '@jest/globals';
import { buy, makeEvent } from '../support/client.js';
import { useDatabase } from '../support/database.js';
import type { Replica } from '../support/replica.js';
import { anyTime, call, noRules, nobody } from './call.js';

const database = useDatabase();
let replicas: [Replica, Replica];
let address: string;
/** Newest first. */
let ids: string[];

beforeAll(async () => {
  replicas = [await database.startReplica(), await database.startReplica()];
  address = replicas[0].address;
  ids = [];
  for (let index = 0; index < 45; index += 1) {
    ids.unshift(await makeEvent(address, { name: `Night ${String(index)}`, total_quota: 10, max_purchase_limit: 4 }));
  }
});

/** Follows the cursors from the first page to the last. @returns the ids, page by page */
async function readPages(path: string, limit: number): Promise<string[][]> {
  const pages: string[][] = [];
  let cursor: string | null = null;
  do {
    const next: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const { status, body } = await call(address, `GET ${path}?limit=${String(limit)}${next}`);
    expect(status).toBe(200);
    pages.push(body.data.map((event) => event.id));
    cursor = body.next_cursor;
  } while (cursor !== null && pages.length < 100);
  return pages;
}

test.each(['/events', '/admin/events'])('GET %s shows the 20 newest and where to go on', async (path) => {
  const { status, body } = await call(address, `GET ${path}`);
  expect(status).toBe(200);
  expect(Object.keys(body).sort()).toEqual(['data', 'next_cursor']);
  expect(body.data.map((event) => event.id)).toEqual(ids.slice(0, 20));
  expect(body.next_cursor).toEqual(expect.any(String));
});

test.each([
  ['/events', 1, 45],
  ['/events', 20, 3],
  ['/events', 44, 2],
  ['/events', 45, 1],
  ['/events', 100, 1],
  ['/admin/events', 15, 3],
  ['/admin/events', 100, 1],
])('the cursors of GET %s?limit=%d lead through every event once, newest first, in %d pages', async (path, limit, count) => {
  const pages = await readPages(path, limit);
  expect(pages).toHaveLength(count);
  expect(pages.flat()).toEqual(ids);
});

test('an event that is made while somebody pages neither moves nor repeats the others', async () => {
  const first = await call(address, 'GET /events?limit=10');
  const made = await makeEvent(address, { total_quota: 1, max_purchase_limit: 1 });
  const second = await call(address, `GET /events?limit=10&cursor=${String(first.body.next_cursor)}`);
  expect(second.body.data.map((event) => event.id)).toEqual(ids.slice(10, 20));
  ids.unshift(made);
  const again = await call(address, 'GET /events?limit=1');
  expect(again.body.data.map((event) => event.id)).toEqual([made]);
});

test.each([
  ['limit=0', 'limit'],
  ['limit=101', 'limit'],
  ['limit=-1', 'limit'],
  ['limit=1.5', 'limit'],
  ['limit=', 'limit'],
  ['limit=ten', 'limit'],
  ['limit=1e1', 'limit'],
  ['limit=99999999999999999999', 'limit'],
  ['limit=1&limit=2', 'limit'],
  ['cursor=', 'cursor'],
  ['cursor=not-a-cursor', 'cursor'],
  ["cursor='%20OR%201=1", 'cursor'],
  ['cursor=%00', 'cursor'],
  ['page=2', 'page'],
  ['__proto__=1', '__proto__'],
])('a page of ?%s is refused, naming %s', async (query, path) => {
  for (const list of ['/events', '/admin/events']) {
    const { status, body } = await call(address, `GET ${list}?${query}`);
    expect([list, status, body.code]).toEqual([list, 400, 'validation']);
    expect(body.errors).toEqual([expect.objectContaining({ in: 'query', path })]);
  }
});

test('an event is the same in the list, on its own and for the admin', async () => {
  const listed = (await call(address, 'GET /events?limit=1')).body.data[0];
  const id = String(listed?.id);
  const alone = await call(address, `GET /events/${id}`);
  expect(alone.status).toBe(200);
  expect(alone.body).toEqual(listed);
  expect(alone.body).toEqual({
    id,
    name: 'A test event',
    total_quota: 1,
    available_quantity: 1,
    max_purchase_limit: 1,
    status: 'on_sale',
    ...noRules,
    created_at: anyTime,
    updated_at: anyTime,
  });
  const forAdmin = await call(address, `GET /admin/events/${id}`);
  expect(forAdmin.body).toEqual({ ...alone.body, sold_quantity: 0, held_quantity: 0 });
});

test('what is left counts every purchase that was answered before, on whichever replica', async () => {
  const id = await makeEvent(address, { total_quota: 30, max_purchase_limit: 4 });
  for (let left = 29; left >= 0; left -= 1) {
    const [writer, reader] = left % 2 === 0 ? replicas : [replicas[1], replicas[0]];
    expect((await buy(writer.address, id, 1)).status).toBe(201);
    const { body } = await call(reader.address, `GET /events/${id}`);
    expect(body['available_quantity']).toBe(left);
  }
  const { body } = await call(address, 'GET /events?limit=1');
  expect(body.data[0]).toMatchObject({ id, available_quantity: 0 });
});

test('no answer may be kept by a cache', async () => {
  for (const line of ['GET /events', `GET /events/${String(ids[0])}`, `GET /events/${nobody}`, 'GET /readyz']) {
    const { headers } = await call(address, line);
    expect([line, headers['cache-control']]).toEqual([line, 'no-store']);
  }
});

test('an id may be written in capitals', async () => {
  const { status, body } = await call(address, `GET /events/${String(ids[0]).toUpperCase()}`);
  expect([status, body.id]).toEqual([200, ids[0]]);
});

test('an event that does not exist is 404 event-not-found', async () => {
  const { status, body } = await call(address, `GET /events/${nobody}`);
  expect([status, body.code]).toEqual([404, 'event-not-found']);
});
