/**
 * Goal: with a synchronous standby, a buyer who was answered 201 has the tickets on the standby too; while there is none, nobody is.
 * Method: two instances of Postgres. The primary dies and the standby is promoted; the standby goes and comes back, and the
 * waits for it are cancelled meanwhile. A careless sale goes through the same, and loses.
 */
import { afterEach, expect, test } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { believing } from './carelessClients.js';
import { check } from './checker.js';
import { Crowd, type CrowdOptions } from './crowd.js';
import { Random, seed } from './random.js';
import { cancelWaits, failOver, openPair, type Pair, untilAttached } from './standby.js';
import type { InsertedEvent } from '../support/events.js';
import { count, judge, report, tallyOf } from './trial.js';

const seconds = Number(process.env['FAULT_SECONDS'] ?? 120);
const failovers = Array.from({ length: Math.max(2, Math.floor(seconds / 120)) }, (_, index) => index + 1);

let pair: Pair;
afterEach(() => pair.stage.close());

function enter(events: readonly InsertedEvent[], random: Random, options: Partial<CrowdOptions> = {}): Crowd {
  const { clients } = pair.stage;
  return new Crowd({ clients, buyers: 30, choose: () => random.pick(events), thinkMs: 60, hangUpChance: 0.02, random, ...options }).start();
}

const makeEvents = (random: Random) =>
  pair.stage.makeEvents([
    { quota: 100_000, limit: 4 },
    { quota: random.whole(100, 1_000), limit: 4 },
    { quota: 50, limit: 4 },
  ]);

test.each(failovers)('when the primary dies, the promoted standby has every ticket that was acknowledged (%i)', async (number) => {
  const faults = tallyOf('primary killed, standby promoted');
  const random = new Random(seed, `failover ${String(number)}`);
  pair = await openPair(2);
  const events = await makeEvents(random);
  const crowd = enter(events, random);
  await pause(random.between(500, 2_500));
  await failOver(pair);
  count(faults, 'primary killed, standby promoted');
  const promotedAtMs = performance.now();
  await pause(3_000);
  await crowd.leave();
  const verdict = await judge(pair.stage, crowd, events, random);
  report(faults, verdict);
  expect({ seed, violations: verdict.violations }).toEqual({ seed, violations: [] });
  expect(crowd.attempts.some(({ answer, calledAtMs }) => answer.kind === 'granted' && calledAtMs > promotedAtMs)).toBe(true);
});

test('while the standby is gone purchases end in 503, also when the wait for it is cancelled; when it is back all keys resolve', async () => {
  const faults = tallyOf('standby stopped', 'wait for the standby cancelled');
  const random = new Random(seed, 'standby gone');
  pair = await openPair(2);
  const events = await makeEvents(random);
  const crowd = enter(events, random);
  await pause(1_000);
  await pair.standby.stop('immediate');
  const goneAtMs = performance.now();
  count(faults, 'standby stopped');
  for (let round = 0; round < 15; round += 1) {
    await pause(random.between(50, 350));
    count(faults, 'wait for the standby cancelled', await cancelWaits(pair.stage.postgres));
  }
  const backAtMs = performance.now();
  await pair.standby.start();
  await untilAttached(pair.stage.postgres);
  await pause(1_500);
  await crowd.leave();
  const meanwhile = crowd.attempts.filter(({ calledAtMs, returnedAtMs }) => calledAtMs > goneAtMs && returnedAtMs < backAtMs);
  // Refusals need no commit: a request for what was sold out before is answered.
  expect(meanwhile.filter(({ answer }) => answer.kind === 'granted')).toEqual([]);
  expect(meanwhile.filter(({ answer }) => answer.kind === 'not begun' || answer.kind === 'unknown').length).toBeGreaterThan(0);
  expect(crowd.attempts.some(({ answer, calledAtMs }) => answer.kind === 'granted' && calledAtMs > backAtMs)).toBe(true);
  const verdict = await judge(pair.stage, crowd, events, random);
  report(faults, verdict);
  expect({ seed, violations: verdict.violations }).toEqual({ seed, violations: [] });
});

test('when the primary dies after cancelled waits nothing is lost; a sale that believes the answer to a cancelled wait loses', async () => {
  const faults = tallyOf('wait for the standby cancelled', 'primary killed, standby promoted');
  const random = new Random(seed, 'cancelled waits');
  pair = await openPair(2);
  // Large, because a refusal may rest on purchases that were only ever on the primary, and are gone with it.
  const events = await pair.stage.makeEvents([{ quota: 100_000, limit: 4 }]);
  const others = await pair.stage.makeEvents([{ quota: 100_000, limit: 4 }]);
  const crowd = enter(events, random);
  const careless = enter(others, random, {
    clients: [believing(pair.stage.postgres.url(pair.stage.proxy.port))],
    buyers: 4,
    hangUpChance: 0,
  });
  await pause(1_000);
  await pair.standby.stop('fast');
  for (let round = 0; round < 10; round += 1) {
    await pause(random.between(50, 250));
    count(faults, 'wait for the standby cancelled', await cancelWaits(pair.stage.postgres));
  }
  await Promise.all([failOver(pair), careless.leave()]);
  count(faults, 'primary killed, standby promoted');
  await pause(1_500);
  await crowd.leave();
  const verdict = await judge(pair.stage, crowd, events, random);
  report(faults, verdict);
  expect({ seed, violations: verdict.violations }).toEqual({ seed, violations: [] });
  const harms = check(careless.attempts, await pair.stage.readLedger(others), { resolved: false });
  expect(harms.map(({ rule }) => rule)).toContain('a purchase that was acknowledged is not there');
});
