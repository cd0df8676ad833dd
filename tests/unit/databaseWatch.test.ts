/**
 * Goal: the loss and the return of a database are one line each, whatever happens in between, and a replica that stops reports neither.
 * Method: states of readiness and a clock that the test chooses.
 */
import { beforeEach, expect, test } from '@jest/globals';
import { DatabaseWatch, watchDatabase } from '../../src/background/databaseWatch.js';
import type { ReadyState } from '../../src/db/readiness.js';

interface Line {
  readonly level: 'info' | 'warn';
  readonly details: object;
  readonly message: string;
}

const ready: ReadyState = { ready: true };
const away: ReadyState = { ready: false, reason: 'The database does not answer: connect ECONNREFUSED.' };
const readOnly: ReadyState = { ready: false, reason: 'The database is read-only.' };

let lines: Line[];
let nowMs: number;
let stopping: AbortController;
const log = {
  info: (details: object, message: string) => lines.push({ level: 'info', details, message }),
  warn: (details: object, message: string) => lines.push({ level: 'warn', details, message }),
};
beforeEach(() => {
  lines = [];
  nowMs = 0;
  stopping = new AbortController();
});

/** A check per second, in the given states. */
async function see(...states: ReadyState[]): Promise<void> {
  let state = ready;
  const watch = new DatabaseWatch({ check: () => Promise.resolve(state) }, log, () => nowMs);
  for (state of states) {
    await watch.checkOnce(stopping.signal);
    nowMs += 1_000;
  }
}

test('a database that stays is not mentioned', async () => {
  await see(ready, ready, ready);
  expect(lines).toEqual([]);
});

test('a loss is one line with its cause, however long it lasts, and the return is one line with its duration', async () => {
  await see(ready, away, away, readOnly, away, ready, ready);
  expect(lines).toEqual([
    { level: 'warn', details: { reason: away.reason }, message: 'the database was lost: this replica is not ready' },
    {
      level: 'info',
      details: { away_ms: 4_000, reasons: [away.reason, readOnly.reason] },
      message: 'the database is back: this replica is ready',
    },
  ]);
});

test('each loss is reported, also the second', async () => {
  await see(away, ready, readOnly, ready);
  expect(lines.map(({ level }) => level)).toEqual(['warn', 'info', 'warn', 'info']);
});

test('a replica that stops while its database is checked reports no loss', async () => {
  let answer!: (state: ReadyState) => void;
  const watch = new DatabaseWatch({ check: () => new Promise((resolve) => (answer = resolve)) }, log);
  const checking = watch.checkOnce(stopping.signal);
  stopping.abort();
  answer({ ready: false, reason: 'This replica is shutting down.' });
  await checking;
  expect(lines).toEqual([]);
});

test('the watch ends when the replica is asked to stop, also before its first check', async () => {
  let checks = 0;
  const readiness = { check: () => Promise.resolve<ReadyState>((checks += 1) > 0 ? away : ready) };
  const loop = watchDatabase(readiness, log, stopping.signal);
  while (lines.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  stopping.abort();
  await loop.stop();
  const checked = checks;
  await watchDatabase(readiness, log, stopping.signal).stop();
  expect(checks).toBeLessThanOrEqual(checked + 1);
  expect(lines).toHaveLength(1);
});
