/**
 * Goal: work in the background runs one round at a time, rests between rounds, survives a fault, and ends when it is asked to.
 * Method: rounds that the test ends by hand.
 */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { type Loop, startLoop } from '../../src/background/loop.js';

interface Round {
  readonly stopping: AbortSignal;
  readonly end: (isMore: boolean) => void;
  readonly fail: (error: Error) => void;
}

const intervalMs = 5;
let rounds: Round[];
let faults: unknown[];
let loop: Loop | undefined;

beforeEach(() => {
  rounds = [];
  faults = [];
});
afterEach(async () => {
  const stopped = loop?.stop();
  rounds.at(-1)?.end(false);
  await stopped;
});

function start(interval = intervalMs): Loop {
  loop = startLoop({
    intervalMs: interval,
    runOnce: (stopping) =>
      new Promise((resolve, reject) => {
        rounds.push({ stopping, end: resolve, fail: reject });
      }),
    onFault: (error) => faults.push(error),
  });
  return loop;
}

async function untilRounds(count: number): Promise<Round> {
  while (rounds.length < count) await pause(1);
  return rounds[count - 1]!;
}

test('a round begins only after the one before has ended', async () => {
  start();
  const first = await untilRounds(1);
  await pause(intervalMs * 4);
  expect(rounds).toHaveLength(1);
  first.end(false);
  await untilRounds(2);
});

test('it goes on at once if there is more to do, without a rest', async () => {
  start(3_600_000);
  for (let round = 1; round <= 3; round += 1) (await untilRounds(round)).end(true);
  (await untilRounds(4)).end(false);
  await pause(intervalMs);
  expect(rounds).toHaveLength(4);
});

test('a fault is reported, and the next round comes after a rest as usual', async () => {
  start();
  const fault = new Error('no database');
  (await untilRounds(1)).fail(fault);
  await untilRounds(2);
  expect(faults).toEqual([fault]);
});

test('to stop it waits for the round that runs, which is asked to end, and begins no other', async () => {
  const running = start();
  const first = await untilRounds(1);
  let stopped = false;
  const stopping = running.stop().then(() => (stopped = true));
  expect(first.stopping.aborted).toBe(true);
  await pause(intervalMs);
  expect(stopped).toBe(false);
  first.end(true);
  await stopping;
  expect(rounds).toHaveLength(1);
});

test('to stop it does not wait for the end of a rest', async () => {
  const running = start(3_600_000);
  (await untilRounds(1)).end(false);
  await pause(intervalMs);
  await running.stop();
  expect(rounds).toHaveLength(1);
});
