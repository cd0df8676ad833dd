/**
 * Goal: a database that cannot write refuses, and loses nothing; when it can again, sales go on and all keys resolve.
 * Method: `prlimit` lets no file of Postgres grow past a size that the tickets are about to reach, which needs no privilege;
 * segments of the WAL (16 MiB) still fit. Afterwards the limit is lifted.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { Crowd } from './crowd.js';
import type { Postgres } from './postgres.js';
import { Random, seed } from './random.js';
import { Stage } from './stage.js';
import { count, judge, report, tallyOf } from './trial.js';

const hasPrlimit = spawnSync('prlimit', ['--version']).status === 0;
if (!hasPrlimit)
  process.stdout.write('Skipped: a full disk. There is no prlimit here (util-linux), with which files are kept from growing.\n');
const testWithPrlimit = hasPrlimit ? test : test.skip;

/** More than a segment of the WAL, or nothing at all could be written. */
const leastTableBytes = 17_000_000;
const roomBytes = 60_000;

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open(2);
});
afterAll(() => stage.close());

/** Tickets of an event that nobody asks for. @returns how large their table is, in bytes */
async function fillTickets(postgres: Postgres): Promise<number> {
  return postgres.session(async (client) => {
    for (let from = 0; ; from += 20_000) {
      await client.query(
        `INSERT INTO tickets (event_id, id, purchase_id)
         SELECT '00000000-0000-7000-8000-000000000000', id, id
           FROM (SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS id FROM generate_series($1::int, $1 + 19999) AS n)`,
        [from],
      );
      const { rows } = await client.query<{ bytes: number }>(`SELECT pg_relation_size('tickets')::int AS bytes`);
      if (rows[0]!.bytes > leastTableBytes) return rows[0]!.bytes;
    }
  });
}

testWithPrlimit(
  'while no file can grow no 201 is sent for nothing, and when there is room again sales go on and all keys resolve',
  async () => {
    const faults = tallyOf('disk full');
    const random = new Random(seed, 'disk full');
    const bytes = await fillTickets(stage.postgres);
    const events = await stage.makeEvents([
      { quota: 1_000_000, limit: 10 },
      { quota: 1_000_000, limit: 10 },
    ]);
    const crowd = new Crowd({ clients: stage.clients, buyers: 30, choose: () => random.pick(events), thinkMs: 30, random }).start();
    await pause(500);
    stage.postgres.limitFiles(bytes + roomBytes);
    await pause(5_000);
    const liftedAtMs = performance.now();
    stage.postgres.limitFiles(undefined);
    await pause(2_500);
    await crowd.leave();
    const whileFull = crowd.attempts.filter(({ calledAtMs, returnedAtMs }) => calledAtMs > liftedAtMs - 3_000 && returnedAtMs < liftedAtMs);
    expect(whileFull.length).toBeGreaterThan(0);
    expect(whileFull.filter(({ answer }) => answer.kind === 'granted')).toEqual([]);
    count(faults, 'disk full');
    expect(crowd.attempts.some(({ answer, calledAtMs }) => answer.kind === 'granted' && calledAtMs > liftedAtMs)).toBe(true);
    const verdict = await judge(stage, crowd, events, random);
    report(faults, verdict);
    expect({ seed, violations: verdict.violations }).toEqual({ seed, violations: [] });
  },
);
