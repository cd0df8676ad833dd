/**
 * Goal: the suite can fail. For each protection there is a sale without it, and the checker finds what that does to buyers.
 * Method: the crowd, the proxy and the checker of the storm; in place of the replicas a careless sale.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { believing, despairing, hasty, peeking, remembering, stubborn, unlocked } from './carelessClients.js';
import { check } from './checker.js';
import { Crowd } from './crowd.js';
import type { CommitFate } from './proxy.js';
import { Random, seed } from './random.js';
import type { NamedClient } from './client.js';
import { Stage } from './stage.js';

const lateByMs = 300;

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open(0);
});
afterAll(() => stage.close());

/** A crowd buys there for a while, one commit in ten meeting this fate. @returns the harm that was found, by its rules */
async function rulesBroken(open: (url: string) => NamedClient, fate?: CommitFate, quota = 10_000): Promise<string[]> {
  const random = new Random(seed, `control ${String(fate)}`);
  const events = await stage.makeEvents([{ quota, limit: 4 }]);
  stage.proxy.mishap = () => (fate && random.chance(0.1) ? { fate, lateByMs } : undefined);
  const clients = [open(stage.postgres.url(stage.proxy.port))];
  const crowd = new Crowd({ clients, buyers: 8, choose: () => events[0]!, thinkMs: 10, random }).start();
  await pause(1_000);
  await crowd.leave();
  stage.proxy.mishap = () => undefined;
  await pause(lateByMs * 2);
  await stage.untilCalm();
  const violations = check(crowd.attempts, await stage.readLedger(events), { resolved: false });
  return [...new Set(violations.map(({ harm, rule }) => `${harm}: ${rule}`))].sort();
}

test('a sale that answers before it commits loses what it acknowledged', async () => {
  expect(await rulesBroken(hasty, 'cut before')).toContain('lost: a purchase that was acknowledged is not there');
});

test('a sale that takes a lost connection for a failure says that nothing happened to those who bought', async () => {
  expect(await rulesBroken(despairing, 'cut after')).toContain('untrue: a key that was answered that nothing happened has a purchase');
});

test('a sale that takes a lost connection for a failure and tries again under a new id sells twice', async () => {
  expect(await rulesBroken(stubborn, 'cut after')).toContain('duplicated: a purchase that no buyer asked for');
});

test('a sale that looks for a purchase without taking the lock does not see the one that is still to come', async () => {
  expect(await rulesBroken(peeking, 'delivered late')).toContain('untrue: a key that was answered that nothing happened has a purchase');
});

test('a sale that counts in its own memory refuses what is still there', async () => {
  expect(await rulesBroken((url) => remembering(url, 100), 'cut before', 100)).toContain(
    'untrue: refused, although enough was certainly left, or with a wrong number',
  );
});

test('a sale that reads and then writes, unlocked, sells more than there is', async () => {
  expect(await rulesBroken(unlocked, undefined, 60)).toContain('oversold: available and sold do not add up to the quota');
});

test('a Postgres that answers before its commit is on disk loses in a crash what was acknowledged', async () => {
  const forgetful = await Stage.open(0, { synchronous_commit: 'off', wal_writer_delay: '10s' });
  try {
    const random = new Random(seed, 'control of a crash');
    const events = await forgetful.makeEvents([{ quota: 10_000, limit: 4 }]);
    const clients = [believing(forgetful.postgres.url(forgetful.proxy.port))];
    const crowd = new Crowd({ clients, buyers: 8, choose: () => events[0]!, thinkMs: 10, random }).start();
    await pause(1_000);
    await forgetful.postgres.stop('immediate');
    await crowd.leave();
    await forgetful.postgres.start();
    const rules = check(crowd.attempts, await forgetful.readLedger(events), { resolved: false }).map(({ rule }) => rule);
    expect(rules).toContain('a purchase that was acknowledged is not there');
  } finally {
    await forgetful.close();
  }
});
