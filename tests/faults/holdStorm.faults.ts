/**
 * Goal: whatever dies between request and answer, every transition that was acknowledged is in the rows and final, what is held
 * comes back once, no buyer exceeds a limit, and in the end the event sells out exactly.
 * Method: as in storm.faults.ts, with buyers who hold, confirm, release and walk away, holds of two seconds, and an admin who cancels.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { checkHolds } from './holdChecker.js';
import { judgeHolds, makeHoldEvents, readHolds, sellOut, shopsOf, untilAllExpired } from './holdTrial.js';
import { Random, seed } from './random.js';
import { Shoppers } from './shoppers.js';
import { Stage } from './stage.js';
import { Storm } from './storm.js';
import { count, report } from './trial.js';

/** A third of the storm of plain purchases, and at most half a minute of every run of two. */
const seconds = Math.max(10, Number(process.env['FAULT_SECONDS'] ?? 120) / 4);
const holdSeconds = 2;

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open(3);
});
afterAll(() => stage.close());

test(
  `in a storm of ${String(seconds)} s every hold ends once, as it was answered, and the events then sell out exactly`,
  async () => {
    const random = new Random(seed, 'hold storm');
    const events = await makeHoldEvents(
      stage,
      [
        { quota: 1_000_000, limit: 4, perBuyer: null },
        { quota: 100, limit: 4, perBuyer: 6 },
        { quota: random.whole(40, 80), limit: 3, perBuyer: null },
      ],
      holdSeconds,
    );
    const choose = () => (random.chance(0.2) ? events[0]! : random.pick(events.slice(1)));
    const crowd = { shoppers: 50, buyers: 30, holdMs: holdSeconds * 1_000, thinkMs: 100, hangUpChance: 0.02 };
    const shoppers = new Shoppers({ shops: shopsOf(stage), choose, random, ...crowd }).start();
    const storm = new Storm(stage, seed);
    storm.start(shoppers);
    await pause(seconds * 1_000);
    await storm.end();
    await shoppers.leave();
    const verdict = await judgeHolds(stage, shoppers, events, storm.violations);
    count(storm.faults, 'buyer hung up', shoppers.hungUp);
    report(storm.faults, verdict);
    expect({ seed, violations: verdict.violations.slice(0, 20) }).toEqual({ seed, violations: [] });

    for (const event of events.slice(1)) {
      await untilAllExpired(stage, event);
      await stage.postgres.query('UPDATE events SET hold_seconds = 600, revision = revision + 1 WHERE id = $1', [event.id]);
      await sellOut(shoppers, event);
    }
    await stage.untilCalm();
    const ledger = await readHolds(stage, events);
    const soldOf = (id: string) =>
      ledger.purchases.reduce((sum, { eventId, status, quantity }) => sum + (eventId === id && status === 'confirmed' ? quantity : 0), 0);
    expect(events.slice(1).map(({ id }) => soldOf(id))).toEqual(events.slice(1).map(({ quota }) => quota));
    expect(checkHolds(shoppers.attempts, ledger, { resolved: true })).toEqual([]);
    const ended = (status: string) => ledger.purchases.filter((purchase) => purchase.status === status).length;
    const counts = ['confirmed', 'released', 'expired', 'cancelled'].map((status) => `${String(ended(status))} ${status}`);
    process.stdout.write(`${String(shoppers.attempts.length)} answers; ${counts.join(', ')}\n`);
    expect(Math.min(...['confirmed', 'released', 'expired', 'cancelled'].map(ended))).toBeGreaterThan(0);
  },
  seconds * 1_500 + 120_000,
);
