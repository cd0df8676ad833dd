/**
 * Goal: whatever dies between request and answer, a buyer who was answered 201 has the tickets, and one key is one purchase.
 * Method: three replicas, a proxy and Postgres, all processes of their own; a crowd that buys; and faults at random, several
 * each second, for FAULT_SECONDS. In rounds: after each one the books are held against what the buyers were answered.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { Crowd } from './crowd.js';
import { Random, seed } from './random.js';
import type { InsertedEvent } from '../support/events.js';
import { Stage } from './stage.js';
import { Storm } from './storm.js';
import { count, judge, report } from './trial.js';

const seconds = Number(process.env['FAULT_SECONDS'] ?? 120);
const roundMs = 15_000;
/** Small events go on sale one after the other, so that at any time one of them is about to sell out. */
const smallEvents = 10;

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open(3);
});
afterAll(() => stage.close());

/** Half the buyers go for one of two large events, the others for the small one that is on sale at the moment. */
function chooser(events: readonly InsertedEvent[], random: Random): () => InsertedEvent {
  const startedAtMs = performance.now();
  return () => {
    if (random.chance(0.5)) return random.pick(events.slice(0, 2));
    const turn = Math.floor(((performance.now() - startedAtMs) / roundMs) * smallEvents);
    return events[2 + Math.min(turn, smallEvents - 1)]!;
  };
}

test(
  `in a storm of ${String(seconds)} s nothing that was acknowledged is lost, and nothing is sold twice`,
  async () => {
    const random = new Random(seed, 'storm');
    const endAtMs = performance.now() + seconds * 1_000;
    const storm = new Storm(stage, seed);
    for (let round = 1; performance.now() < endAtMs || round === 1; round += 1) {
      const small = Array.from({ length: smallEvents }, () => ({ quota: random.whole(20, 400), limit: 4 }));
      const events = await stage.makeEvents([{ quota: 1_000_000, limit: 4 }, { quota: 1_000_000, limit: 10 }, ...small]);
      const choose = chooser(events, random);
      const crowd = new Crowd({ clients: stage.clients, buyers: 60, choose, thinkMs: 100, hangUpChance: 0.02, random }).start();
      storm.start(crowd);
      await pause(Math.min(roundMs, Math.max(2_000, endAtMs - performance.now())));
      await storm.end();
      await crowd.leave();
      const verdict = await judge(stage, crowd, events, random, storm.violations);
      count(storm.faults, 'buyer hung up', crowd.hungUp);
      report(storm.faults, verdict);
      storm.faults.forEach((_, kind) => storm.faults.set(kind, 0));
      expect({ round, seed, violations: verdict.violations.slice(0, 20) }).toEqual({ round, seed, violations: [] });
    }
  },
  seconds * 1_500 + 120_000,
);
