/**
 * Goal: the metrics of events say what the books say, for a bounded number of events, and say nothing while nothing is known.
 * Method: a replica with a few events, one of them with a hold whose time is over; and one whose statements fail.
 */
import { beforeAll, expect, test } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { watchEventTotals } from '../../src/background/eventTotals.js';
import type { EventTotals } from '../../src/sql/readEventTotals.js';
import { readEventTotals } from '../../src/sql/readEventTotals.js';
import { act, buy, makeEvent } from '../support/client.js';
import { useDatabase } from '../support/database.js';
import { patientSettings, type Replica } from '../support/replica.js';
import { call } from './call.js';

const database = useDatabase();
let replica: Replica;
const start = (env: Record<string, string> = {}) => database.startReplica({ ...patientSettings, SWEEP_INTERVAL_MS: '3600000', ...env });
beforeAll(async () => {
  replica = await start({ EVENT_METRICS_MAX: '2' });
});

const make = (name: string) => makeEvent(replica.address, { name, total_quota: 100, max_purchase_limit: 10, hold_seconds: 600 });

async function metricsOf(address: string): Promise<string[]> {
  const { text } = await call(address, 'GET /metrics');
  return text.split('\n').filter((line) => line.startsWith('onsale_event_') && !line.startsWith('onsale_event_loop'));
}

async function untilMetrics(condition: (lines: readonly string[]) => boolean): Promise<string[]> {
  for (;;) {
    const lines = await metricsOf(replica.address);
    if (condition(lines)) return lines;
    await pause(50);
  }
}

test('they are those of the newest events, with due holds available, and an event that leaves the list leaves the metrics', async () => {
  await make('Old');
  const [first, second] = [await make('First "night"'), await make('Second')];
  const confirmed = await buy(replica.address, second, 3);
  await act(replica.address, second, confirmed.body.id, 'confirm');
  await buy(replica.address, second, 4);
  const due = await buy(replica.address, second, 5);
  await database.sql.query(`UPDATE purchases SET expires_at = now() - interval '1 second' WHERE id = $1`, [due.body.id]);
  const of = (quantity: string, id: string, name: string, value: number) =>
    `onsale_event_${quantity}_tickets{event_id="${id}",name="${name}"} ${String(value)}`;
  const expected = [
    ...[of('available', second, 'Second', 93), of('available', first, 'First \\"night\\"', 100)],
    ...[of('held', second, 'Second', 4), of('held', first, 'First \\"night\\"', 0)],
    ...[of('sold', second, 'Second', 3), of('sold', first, 'First \\"night\\"', 0)],
  ];
  const lines = await untilMetrics((found) => expected.every((line) => found.includes(line)));
  expect(lines).toEqual(expected);
  const third = await make('Third');
  const later = await untilMetrics((found) => found.some((line) => line.includes(third)));
  expect(later.filter((line) => line.includes(first))).toEqual([]);
}, 60_000);

test('with EVENT_METRICS_MAX=0 there are none', async () => {
  const without = await start({ EVENT_METRICS_MAX: '0' });
  const { text } = await call(without.address, 'GET /metrics');
  expect(text).not.toContain('onsale_event_available_tickets');
});

test('while the database is away they are absent', async () => {
  const { prisma } = database.openPool();
  let away = false;
  let read: () => readonly EventTotals[] = () => [];
  const faults: string[] = [];
  const $queryRaw = ((...args: Parameters<typeof prisma.$queryRaw>) =>
    away ? Promise.reject(new Error('Connection terminated')) : prisma.$queryRaw(...args)) as typeof prisma.$queryRaw;
  const loop = watchEventTotals(
    { $queryRaw },
    5,
    { schemaKnown: () => true },
    { eventTotals: (given) => (read = given) },
    { failed: (work) => faults.push(work) },
    5,
  )!;
  await make('Fourth');
  const until = async (condition: () => boolean) => {
    while (!condition()) await pause(5);
  };
  await until(() => read().length > 0);
  expect(read()[0]).toEqual((await readEventTotals(prisma, 1))[0]);
  away = true;
  await until(() => faults.length > 0);
  expect(read()).toEqual([]);
  away = false;
  await until(() => read().length > 0);
  await loop.stop();
  expect(faults[0]).toBe('a read of the totals of events');
});
