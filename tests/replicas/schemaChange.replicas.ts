/**
 * Goal: a column is renamed while tickets are sold, and no buyer notices: no request fails, and a key that was used with one
 * version is known to the other.
 * Method: the real program and two later versions of it, which differ in the name of a column of the hot path and in the
 * migrations that they bring; deployed one after the other under constant load through HAProxy.
 */
import { afterEach, expect } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { byKey } from '../faults/history.js';
import { seed } from '../faults/random.js';
import type { ReplicaProcess } from '../faults/replicaProcess.js';
import { httpClient } from '../faults/client.js';
import { judge } from '../faults/trial.js';
import { type Answer, send } from '../support/client.js';
import { Company, testWithHaproxy } from './company.js';
import { Sale } from './sale.js';
import { makeVersion, migrateWith } from './versions.js';

let company: Company;
afterEach(() => company.close());

const ready = (replica: ReplicaProcess): Promise<Answer> => send(`${replica.operationsAddress!}/readyz`);

/** A share of the keys that were acknowledged, asked again there: the same purchase each. */
async function expectKnown(sale: Sale, replica: ReplicaProcess, every = 50): Promise<void> {
  const client = httpClient(replica.name, () => replica.address);
  const bought = [...byKey(sale.crowd.attempts).values()].filter(({ standing }) => standing === 'acknowledged');
  const asked = bought.filter((_, index) => index % every === 0);
  expect(asked.length).toBeGreaterThan(5);
  for (const { eventId, quantity, key, attempts } of asked) {
    const acknowledged = attempts.find(({ answer }) => answer.kind === 'granted')?.answer;
    expect(await client.buy(eventId, quantity, key)).toEqual(acknowledged);
  }
}

testWithHaproxy('a column is renamed in two deployments, and buyers notice nothing of either', async () => {
  const [next, last] = [await makeVersion('_expand', '_backfill'), await makeVersion('_expand', '_backfill', '_contract')];
  company = await Company.open(3);
  const url = company.stage.postgres.url();
  const sale = await Sale.open(company, 'schema change');
  await pause(1_000);

  // A version that needs more than there is waits for its migration, and nobody asks it.
  const early = company.recruit('too early', { checkout: next });
  await early.start();
  expect((await ready(early)).body).toMatchObject({ code: 'not-ready', detail: expect.stringContaining('purchases_request_expand') });

  expect(await migrateWith(next, url)).toMatch(
    /^Applied 29990101000000_purchases_request_expand, 29990102000000_purchases_request_backfill/,
  );
  await early.untilReady();
  await company.admit(4, early);
  await pause(1_000);
  await expectKnown(sale, early);
  // What was there before stays, may even start, and its migration job finds nothing to do: this is also the way back.
  expect(await company.drain(1)).toBe(0);
  await company.add(1);
  await expectKnown(sale, company.replica(1));
  expect(await migrateWith('.', url)).toBe('The database is up to date.');
  for (const slot of [1, 2]) {
    expect(await company.drain(slot)).toBe(0);
    await company.add(slot, { checkout: next });
  }

  // The last of the first version is forgotten in a corner when the second deployment takes its column away.
  const forgotten = company.replica(3);
  await company.balancer.remove(3);
  expect(await migrateWith(last, url)).toBe('Applied 29990103000000_purchases_request_contract.');
  expect((await ready(forgotten)).body).toMatchObject({ code: 'not-ready', detail: expect.stringContaining('purchases_request_contract') });
  expect((await send(`${forgotten.address!}/events`)).body.code).toBe('overloaded');
  await company.dismiss(forgotten);
  const late = company.recruit('too late');
  await expect(late.start()).rejects.toThrow(/_contract removed something that this version of onsale needs/);
  await company.dismiss(late);
  // The version between knows what replaced the column: it stays, until the newest has taken its place.
  await company.add(3, { checkout: last });
  await pause(1_000);
  await expectKnown(sale, company.replica(3));
  await expectKnown(sale, company.replica(1));
  await sale.end();

  expect({ seed, failures: sale.failures }).toEqual({ seed, failures: [] });
  expect(sale.readers.backInTime).toEqual([]);
  const { violations, tried } = await judge(company.stage, sale.crowd, sale.events, sale.random);
  expect({ seed, violations }).toEqual({ seed, violations: [] });
  process.stdout.write(`${String(tried)} keys, none failed, while a column was renamed\n`);
});
