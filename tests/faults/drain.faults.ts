/**
 * Goal: SIGTERM drops nobody who was let in, and SIGKILL leaves nobody with half a purchase.
 * Method: the event's row is held, so that a line forms; then the signal; then the row is free again.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Crowd } from './crowd.js';
import { droppedBy } from './drain.js';
import { Random, seed } from './random.js';
import type { InsertedEvent } from '../support/events.js';
import { Stage } from './stage.js';
import { count, judge, report, tallyOf } from './trial.js';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open(2);
});
afterAll(() => stage.close());

const random = new Random(seed, 'drain');
const inProgress = 60;

/** Buyers of the first replica who wait for the row, while the work is done; then the row is free. */
async function whileALineWaits(crowd: Crowd, event: InsertedEvent, work: () => Promise<unknown>): Promise<void> {
  const buying: Promise<unknown>[] = [];
  let working: Promise<unknown> | undefined;
  await stage.postgres.session(async (client) => {
    await client.query('BEGIN');
    await client.query('SELECT FROM events WHERE id = $1 FOR UPDATE', [event.id]);
    for (let index = 0; index < inProgress; index += 1) buying.push(crowd.buy(stage.clients[0]!, event.id, 1, randomUUID()));
    await pause(500);
    expect(crowd.underWay.size).toBe(inProgress);
    working = work();
    await pause(200);
    await client.query('COMMIT');
  });
  await working;
  await Promise.all(buying);
}

async function open(quota: number) {
  const events = await stage.makeEvents([{ quota, limit: 4 }]);
  return { events, crowd: new Crowd({ clients: stage.clients, buyers: 0, choose: () => events[0]!, thinkMs: 0, random }) };
}

test('a replica that gets SIGTERM answers every request in progress, then ends with 0, and admits no other', async () => {
  const faults = tallyOf('replica drained');
  const { events, crowd } = await open(inProgress - 10);
  await whileALineWaits(crowd, events[0]!, async () => {
    expect(await droppedBy(stage.replicas[0]!, crowd)).toEqual([]);
  });
  const kinds = crowd.attempts.map(({ answer }) => answer.kind);
  expect([kinds.filter((kind) => kind === 'granted').length, kinds.filter((kind) => kind === 'refused').length]).toEqual([
    inProgress - 10,
    10,
  ]);
  expect((await crowd.buy(stage.clients[0]!, events[0]!.id, 1, randomUUID())).kind).toBe('not begun');
  await stage.replicas[0]!.start();
  count(faults, 'replica drained');
  const verdict = await judge(stage, crowd, events, random);
  report(faults, verdict);
  expect(verdict.violations).toEqual([]);
});

test('when a replica is killed with a line before it, all of them are unknown, and all keys resolve through the others', async () => {
  const faults = tallyOf('replica killed');
  const { events, crowd } = await open(1_000);
  const { name } = stage.replicas[0]!;
  const killed = async () => {
    await stage.replicas[0]!.kill();
    return 0;
  };
  await whileALineWaits(crowd, events[0]!, async () => {
    // The negative control of draining: each of them is found to have been dropped.
    expect(await droppedBy({ name, drain: killed }, crowd)).toHaveLength(inProgress);
  });
  expect(new Set(crowd.attempts.map(({ answer }) => answer.kind))).toEqual(new Set(['unknown']));
  await stage.replicas[0]!.start();
  count(faults, 'replica killed');
  const verdict = await judge(stage, crowd, events, random);
  report(faults, verdict);
  expect(verdict).toMatchObject({ violations: [], unknown: inProgress, resolved: inProgress, acknowledged: inProgress });
});
