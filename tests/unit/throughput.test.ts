/**
 * Goal: the estimated throughput is what is served while requests wait, and the bound of the queue follows it.
 * Method: Jest's clock, and work that takes as long as the test says.
 */
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { Admission } from '../../src/sale/admission.js';
import { ThroughputEstimate } from '../../src/sale/throughput.js';

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

/** So many are served in each of the windows, one after the other. */
function serve(estimate: ThroughputEstimate, perWindow: readonly number[], waiting = 1): void {
  for (const count of perWindow) {
    for (let served = 0; served < count; served += 1) estimate.served(performance.now(), waiting);
    jest.advanceTimersByTime(250);
    estimate.update(performance.now());
  }
}

test('a estimate is not known before it was measured for a second, and is the best of the last one', () => {
  const estimate = new ThroughputEstimate();
  expect(estimate.perSecond).toBeUndefined();
  serve(estimate, [100, 200, 200]); // everybody connects
  expect(estimate.perSecond).toBeUndefined();
  serve(estimate, [250]);
  expect(estimate.perSecond).toBe(1_000);
  serve(estimate, [500, 20]); // a disturbed moment
  expect(estimate.perSecond).toBe(2_000);
  serve(estimate, [300, 300, 300]);
  expect(estimate.perSecond).toBe(1_200);
});

test('a line in which nobody waits shows how many came, not how many could be served', () => {
  const estimate = new ThroughputEstimate();
  serve(estimate, [250, 250, 250, 250]);
  serve(estimate, [1, 2, 3, 4], 0);
  expect(estimate.perSecond).toBe(1_000);
});

test('a second after nothing is served any more the estimate is nothing, and it rises at once after that', () => {
  const estimate = new ThroughputEstimate();
  serve(estimate, [1_000, 1_000, 1_000, 1_000]);
  serve(estimate, [0, 0, 0]);
  expect(estimate.perSecond).toBe(4_000);
  serve(estimate, [0]);
  expect(estimate.perSecond).toBe(0);
  serve(estimate, [1_000]);
  expect(estimate.perSecond).toBe(4_000);
});

test('the excess is the work refused in a second, in seconds', () => {
  const estimate = new ThroughputEstimate();
  serve(estimate, [250, 250, 250, 250]);
  for (let refused = 0; refused < 5_000; refused += 1) estimate.refused(performance.now());
  serve(estimate, [250]);
  expect(estimate.excess).toBe(10);
});

test('a line may be as long as is served in the time that the last one in it may wait, and no shorter than its least', async () => {
  const admission = new Admission<string>({
    inProgressMax: 10_000,
    inProgressPerKeyMax: 5_000,
    inProgressPerKeyMin: 10,
    queueWaitMs: 500,
    deadlineMs: 60_000,
  });
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
  expect(admission.refuses('a')).toBe('event purchases full');
  await serveAndWait(250);
  fill();
  expect(admission.total).toBe(500);
  for (let window = 0; window < 20; window += 1) {
    await serveAndWait(0);
    expect(admission.refuses('a')).toBe('event purchases full');
  }
  for (const done of admitted.splice(0, 495)) done(); // hardly anything was served for five seconds
  await jest.advanceTimersByTimeAsync(0);
  fill();
  expect(admission.total).toBe(10);
});
