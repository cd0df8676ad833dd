/**
 * Goal: replicas come and go, in every way that there is, and buyers notice nothing but what was lost with a killed process.
 * Method: constant load through HAProxy with the file that compose uses; each replica in turn is killed, replaced, drained and
 * replaced, and a fourth comes and goes. Then the books, and every unanswered key asked again.
 */
import { afterEach, expect } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { seed } from '../faults/random.js';
import { judge } from '../faults/trial.js';
import { Company, type Kill, testWithHaproxy } from './company.js';
import { Sale, wasUnderWay } from './sale.js';

let company: Company | undefined;
afterEach(() => company?.close());

testWithHaproxy('under load replicas are killed, drained and added, and only what was under way on a killed one is lost', async () => {
  company = await Company.open(3);
  const sale = await Sale.open(company, 'rolling');
  const kills: Kill[] = [];
  const exitCodes: (number | null)[] = [];
  for (const slot of [1, 2, 3]) {
    await pause(500);
    kills.push(await company.kill(slot));
    await company.add(slot);
    await pause(500);
    exitCodes.push(await company.drain(slot));
    await company.add(slot);
  }
  await company.add(4);
  await pause(1_000);
  exitCodes.push(await company.drain(4));
  await sale.end();

  const { failures } = sale;
  const lost = failures.filter((failure) => wasUnderWay(failure, kills));
  expect({ seed, unexplained: failures.filter((failure) => !lost.includes(failure)) }).toEqual({ seed, unexplained: [] });
  // Purchases alone, because a read is asked again of another replica: a 503 that says so or, to who had asked on this
  // connection before, the end of it. No other 5xx, and no false promise.
  for (const { why } of lost) expect(why).toMatch(/^outcome-unknown$|^connection lost/);
  expect(exitCodes).toEqual([0, 0, 0, 0]);
  expect(sale.readers.backInTime).toEqual([]);

  const verdict = await judge(company.stage, sale.crowd, sale.events, sale.random);
  expect({ seed, violations: verdict.violations }).toEqual({ seed, violations: [] });
  expect(verdict.resolved).toBe(verdict.unknown);
  const { events } = await company.stage.readLedger(sale.soldOut);
  expect(events.length).toBeGreaterThan(1);
  expect(events.map(({ available }) => available)).toEqual(events.map(() => 0));
  process.stdout.write(
    `${String(verdict.tried)} keys, ${String(sale.readers.looks.length)} reads, ${String(events.length)} events sold out, ` +
      `${String(lost.length)} requests lost with 3 killed replicas, ${String(verdict.resolved)} keys resolved\n`,
  );
});
