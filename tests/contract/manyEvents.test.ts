/**
 * Goal: events whose batches share a statement are sold as if each had one of its own, and none suffers for another.
 * Method: crowds over many events and two replicas; then one event that is held up, sold out, or refused by the database.
 */
import { beforeAll, expect, test } from '@jest/globals';
import type { Pool } from '../../src/db/client.js';
import type { Outcome } from '../../src/sale/types.js';
import { useDatabase } from '../support/database.js';
import { openTestPool } from '../support/pool.js';
import { expectConserved, batchedSale, newEvent, request, type AnySale, ticketsOf } from '../support/sales.js';

const database = useDatabase();
let pools: [Pool, Pool];
let replicas: [AnySale, AnySale];

beforeAll(() => {
  pools = [database.openPool(), database.openPool()];
  replicas = [database.closeLater(batchedSale(pools[0])), database.closeLater(batchedSale(pools[1]))];
});

const newEvents = (count: number, totalQuota: number) => Promise.all(Array.from({ length: count }, () => newEvent(pools[0], totalQuota)));

/** How many events did the largest transaction sell for? */
async function eventsOfOneTransaction(): Promise<number> {
  const { rows } = await database.sql.query<{ events: string }>(
    'SELECT count(DISTINCT event_id) AS events FROM purchases GROUP BY xmin::text ORDER BY 1 DESC LIMIT 1',
  );
  return Number(rows[0]?.events);
}

test('each of many events sells exactly its quota through two replicas, and refuses the rest', async () => {
  const eventIds = await newEvents(30, 20);
  const outcomes = await Promise.all(
    eventIds.map((eventId, index) =>
      Promise.all(Array.from({ length: 30 }, (_, buyer) => replicas[(index + buyer) % 2]!.sell(eventId, request(1)))),
    ),
  );
  for (const [index, eventId] of eventIds.entries()) {
    expect(ticketsOf(outcomes[index]!)).toBe(20);
    await expectConserved(pools[0], eventId, 20);
  }
  await expect(eventsOfOneTransaction()).resolves.toBeGreaterThan(1);
});

test('a key of one event that was used before fails none of the others in the statement', async () => {
  const [replica] = replicas;
  const eventIds = await newEvents(10, 100);
  await Promise.all(eventIds.map((eventId) => replica.sell(eventId, request(2, 'used in one'))));
  const outcomes = await Promise.all(
    eventIds.map((eventId, index) => replica.sell(eventId, request(2, index === 3 ? 'used in one' : 'another'))),
  );
  expect(outcomes.map((outcome) => outcome.kind === 'granted' && outcome.replayed)).toEqual(eventIds.map((_, index) => index === 3));
  for (const [index, eventId] of eventIds.entries()) await expectConserved(pools[0], eventId, index === 3 ? 2 : 4);
});

test('an event that is held up holds up the others for one lock timeout at most', async () => {
  const hasty = openTestPool(database.url, { lockTimeoutMs: 200 });
  const sale = batchedSale(hasty, { deadlineMs: 10_000 });
  const eventIds = await newEvents(10, 100);
  const holder = await database.sql.connect();
  await holder.query('BEGIN');
  await holder.query('SELECT FROM events WHERE id = $1 FOR UPDATE', [eventIds[0]]);
  const heldUp = sale.sell(eventIds[0]!, request(1));
  for (let round = 0; round < 5; round += 1) {
    const others = await Promise.all(eventIds.slice(1).map((eventId) => sale.sell(eventId, request(1))));
    expect(others.map(({ kind }) => kind)).toEqual(others.map(() => 'granted'));
  }
  await holder.query('COMMIT');
  holder.release();
  await expect(heldUp).resolves.toMatchObject({ kind: 'granted' });
  for (const [index, eventId] of eventIds.entries()) await expectConserved(hasty, eventId, index === 0 ? 1 : 5);
  await sale.close();
  await hasty.close();
});

test('rows that others hold keep neither the refusals of a sold-out event nor the locked path of another waiting', async () => {
  const sale = batchedSale(pools[0], { deadlineMs: 20_000 });
  // Their number is such that a request queued behind them would miss its deadline.
  const eventIds = await newEvents(22, 10);
  const [soldOut = '', edge = '', ...locked] = eventIds;
  await sale.sell(soldOut, request(10));
  await sale.sell(soldOut, request(1));
  const holder = await database.sql.connect();
  await holder.query('BEGIN');
  await holder.query('SELECT FROM events WHERE id = ANY ($1) FOR UPDATE', [locked]);
  const heldUp = locked.map((eventId) => sale.sell(eventId, request(1)));
  // Each is found to be held up after a lock timeout; from then on it waits where it holds up nobody else.
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  for (let round = 0; round < 5; round += 1) {
    await expect(sale.sell(soldOut, request(1))).resolves.toMatchObject({ kind: 'sold-out' });
    await expect(sale.sell(edge, request(11))).resolves.toMatchObject({ kind: 'purchase-limit-exceeded' });
    await expect(sale.sell(edge, request(2))).resolves.toMatchObject({ kind: 'granted' });
  }
  let stillHeld = true;
  void heldUp[0]?.then(() => (stillHeld = false));
  await new Promise((resolve) => setImmediate(resolve));
  expect(stillHeld).toBe(true);
  await holder.query('COMMIT');
  holder.release();
  for (const outcome of await Promise.all(heldUp)) expect(outcome.kind).toBe('granted');
  await sale.close();
  await expectConserved(pools[0], edge, 10);
  for (const eventId of locked) await expectConserved(pools[0], eventId, 1);
});

test('a request that the database refuses fails alone, whatever shared its batch or its statement', async () => {
  await database.sql.query(`
    CREATE FUNCTION refuse_poison() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF NEW.idempotency_key LIKE 'poison%' THEN RAISE EXCEPTION 'refused' USING ERRCODE = 'check_violation'; END IF;
      RETURN NEW;
    END $$;
    CREATE TRIGGER refuse_poison BEFORE INSERT ON purchases FOR EACH ROW EXECUTE FUNCTION refuse_poison()`);
  const eventIds = await newEvents(5, 100);
  const answers: Promise<Outcome>[] = [];
  for (const [index, eventId] of eventIds.entries())
    for (let buyer = 0; buyer < 10; buyer += 1)
      answers.push(replicas[0].sell(eventId, request(1, index === 2 && buyer === 7 ? 'poison' : `buyer ${String(buyer)}`)));
  const settled = await Promise.allSettled(answers);
  expect(settled.map((answer) => (answer.status === 'fulfilled' ? answer.value.kind : 'failed'))).toEqual(
    answers.map((_, index) => (index === 27 ? 'failed' : 'granted')),
  );
  for (const [index, eventId] of eventIds.entries()) await expectConserved(pools[0], eventId, index === 2 ? 9 : 10);
  await database.sql.query('DROP TRIGGER refuse_poison ON purchases');
});
