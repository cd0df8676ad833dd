import { expect, test } from '@jest/globals';
import { semaphore } from '../../src/concurrency/semaphore.js';
import { singleFlight } from '../../src/concurrency/singleFlight.js';

const settled = () => new Promise((resolve) => setImmediate(resolve));

test('a semaphore runs that many jobs at once, the others in order, and passes on what they throw', async () => {
  const inTurn = semaphore(2);
  const started: number[] = [];
  const ends: (() => void)[] = [];
  const jobs = [0, 1, 2, 3].map((job) =>
    inTurn(async () => {
      started.push(job);
      await new Promise<void>((resolve) => ends.push(resolve));
      if (job === 1) throw new Error('broken');
      return job;
    }),
  );
  const results = Promise.allSettled(jobs);
  await settled();
  expect(started).toEqual([0, 1]);
  ends[1]!();
  await settled();
  expect(started).toEqual([0, 1, 2]);
  ends[0]!();
  await settled();
  ends[2]!();
  ends[3]!();
  expect((await results).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
});

test('a single flight is shared by those who ask while it is under way, and by nobody after it, well ended or not', async () => {
  let flights = 0;
  const fly = singleFlight(async () => {
    flights += 1;
    await settled();
    if (flights === 2) throw new Error('broken');
    return flights;
  });
  await expect(Promise.all([fly(), fly()])).resolves.toEqual([1, 1]);
  await expect(Promise.allSettled([fly(), fly()])).resolves.toMatchObject([{ status: 'rejected' }, { status: 'rejected' }]);
  await expect(fly()).resolves.toBe(3);
});
