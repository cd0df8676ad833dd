/**
 * Goal: whatever befalls a commit on its way, the buyer's answer is true: mostly 201, a little later.
 * Method: one buyer after the other, and for each kind of commit and each fate the very next commit meets it.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Crowd } from './crowd.js';
import type { CommitFate } from './proxy.js';
import { Random, seed } from './random.js';
import { Stage } from './stage.js';
import { count, judge, report, tallyOf } from './trial.js';
import type { CommitWay } from './wire.js';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open(1);
});
afterAll(() => stage.close());

const random = new Random(seed, 'commits');
const kindOf = (way: CommitWay, fate: CommitFate) => `${way === 'by COMMIT' ? 'COMMIT' : 'statement'} ${fate}`;

/** A crowd that does nothing by itself. */
const noCrowd = () => new Crowd({ clients: stage.clients, buyers: 0, choose: () => ({ id: '', quota: 0, limit: 1 }), thinkMs: 0, random });

test.each<[CommitWay, CommitFate]>([
  ['by itself', 'cut before'],
  ['by itself', 'cut within'],
  ['by itself', 'cut after'],
  ['by itself', 'delivered late'],
  ['by COMMIT', 'cut before'],
  ['by COMMIT', 'cut within'],
  ['by COMMIT', 'cut after'],
  ['by COMMIT', 'delivered late'],
])('a purchase that commits %s, and whose commit is %s, is answered with 201 and exists once', async (way, fate) => {
  const faults = tallyOf(kindOf(way, fate));
  const crowd = noCrowd();
  const [event] = await stage.makeEvents([{ quota: 100, limit: 4 }]);
  // A change of its rules, of which the replica learns behind the lock: the purchase that learns it is sold by COMMIT.
  if (way === 'by COMMIT') {
    expect((await crowd.buy(stage.clients[0]!, event!.id, 4, randomUUID())).kind).toBe('granted');
    await stage.postgres.query('UPDATE events SET revision = revision + 1');
  }
  let met = false;
  stage.proxy.mishap = (commits) => {
    if (met || commits !== way) return undefined;
    met = true;
    return { fate, lateByMs: 250 };
  };
  stage.proxy.happened = () => {
    count(faults, kindOf(way, fate));
  };
  const answer = await crowd.buy(stage.clients[0]!, event!.id, 3, randomUUID());
  expect(met).toBe(true);
  expect(answer.kind).toBe('granted');
  await pause(300);
  const verdict = await judge(stage, crowd, [event!], random);
  report(faults, verdict);
  expect(verdict.violations).toEqual([]);
});

test('when every commit is cut after it, the answer is 503 by the deadline, and the key tells later', async () => {
  const crowd = noCrowd();
  const events = await stage.makeEvents([{ quota: 100, limit: 4 }]);
  stage.proxy.mishap = () => ({ fate: 'cut before' });
  const key = randomUUID();
  const answer = await crowd.buy(stage.clients[0]!, events[0]!.id, 2, key);
  expect(answer).toEqual({ kind: 'unknown', why: 'outcome-unknown' });
  stage.proxy.mishap = () => undefined;
  const verdict = await judge(stage, crowd, events, random);
  report(tallyOf(), verdict);
  expect(verdict.violations).toEqual([]);
  expect(verdict.resolved).toBe(1);
});

test('a buyer who hangs up while the purchase is in the batch has bought it once, and the key says so', async () => {
  const faults = tallyOf('buyer hung up');
  const crowd = noCrowd();
  const events = await stage.makeEvents([{ quota: 100, limit: 4 }]);
  const key = randomUUID();
  await stage.postgres.session(async (client) => {
    await client.query('BEGIN');
    await client.query('SELECT FROM events WHERE id = $1 FOR UPDATE', [events[0]!.id]);
    const hungUp = await crowd.buyAndHangUp(stage.clients[0]!, events[0]!.id, 2, key, 150);
    expect(hungUp).toEqual({ kind: 'unknown', why: 'hung up' });
    await client.query('COMMIT');
  });
  await stage.untilCalm();
  expect((await stage.readLedger(events)).purchases).toMatchObject([{ key, quantity: 2 }]);
  count(faults, 'buyer hung up', crowd.hungUp);
  const verdict = await judge(stage, crowd, events, random);
  report(faults, verdict);
  expect(verdict.violations).toEqual([]);
});
