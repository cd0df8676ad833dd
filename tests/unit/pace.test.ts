/**
 * Goal: the pace of a line is what is served while somebody waits, and the bound of the line follows it.
 * Method: Jest's clock, and work that takes as long as the test says.
 */
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { Admission } from '../../src/sale/admission.js';
import { Pace } from '../../src/sale/pace.js';

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

/** So many are served in each of the windows, one after the other. */
function serve(pace: Pace, perWindow: readonly number[], waiting = 1): void {
  for (const count of perWindow) {
    for (let served = 0; served < count; served += 1) pace.served(performance.now(), waiting);
    jest.advanceTimersByTime(250);
    pace.look(performance.now());
  }
}

test('a pace is not known before it was measured for a second, and is the best of the last one', () => {
  const pace = new Pace();
  expect(pace.perSecond).toBeUndefined();
  serve(pace, [100, 200, 200]); // everybody connects
  expect(pace.perSecond).toBeUndefined();
  serve(pace, [250]);
  expect(pace.perSecond).toBe(1_000);
  serve(pace, [500, 20]); // a disturbed moment
  expect(pace.perSecond).toBe(2_000);
  serve(pace, [300, 300, 300]);
  expect(pace.perSecond).toBe(1_200);
});

test('a line in which nobody waits shows how many came, not how many could be served', () => {
  const pace = new Pace();
  serve(pace, [250, 250, 250, 250]);
  serve(pace, [1, 2, 3, 4], 0);
  expect(pace.perSecond).toBe(1_000);
});

test('a second after nothing is served any more the pace is nothing, and it rises at once after that', () => {
  const pace = new Pace();
  serve(pace, [1_000, 1_000, 1_000, 1_000]);
  serve(pace, [0, 0, 0]);
  expect(pace.perSecond).toBe(4_000);
  serve(pace, [0]);
  expect(pace.perSecond).toBe(0);
  serve(pace, [1_000]);
  expect(pace.perSecond).toBe(4_000);
});

test('the excess is the work refused in a second, in seconds', () => {
  const pace = new Pace();
  serve(pace, [250, 250, 250, 250]);
  for (let refused = 0; refused < 5_000; refused += 1) pace.refused(performance.now());
  serve(pace, [250]);
  expect(pace.excess).toBe(10);
});

test('a line may be as long as is served in the time that the last one in it may wait, and no shorter than its least', async () => {
  const admission = new Admission<string>({ lineMax: 10_000, lineMaxPerKey: 5_000, lineMinPerKey: 10, waitMs: 500, deadlineMs: 60_000 });
  const admitted: (() => void)[] = [];
  const admit = () =>
    void admission.serve(
      'a',
      new Promise<string>((resolve) => {
        admitted.push(() => {
          resolve('served');
        });
      }),
      () => 'late',
    );
  const fill = () => {
    while (admission.refuses('a') === undefined) admit();
  };
  const serveAndWait = async (count: number) => {
    for (const done of admitted.splice(0, count)) done();
    await jest.advanceTimersByTimeAsync(250);
  };
  for (let index = 0; index < 1_750; index += 1) admit();
  for (let window = 0; window < 4; window += 1) await serveAndWait(250); // 1,000 a second, so that 500 may wait
  expect(admission.refuses('a')).toBe('event line full');
  await serveAndWait(250);
  fill();
  expect(admission.total).toBe(500);
  for (let window = 0; window < 20; window += 1) {
    await serveAndWait(0);
    expect(admission.refuses('a')).toBe('event line full');
  }
  for (const done of admitted.splice(0, 495)) done(); // hardly anything was served for five seconds
  await jest.advanceTimersByTimeAsync(0);
  fill();
  expect(admission.total).toBe(10);
});
