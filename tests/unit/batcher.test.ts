/**
 * Goal: every request in a queue is served once, in order, by batches within their limits, without a timer.
 * Method: batches that the test itself ends, one by one; then a property over random schedules.
 */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Batcher, type BatcherOptions } from '../../src/concurrency/batcher.js';

interface Running {
  readonly key: string;
  readonly batch: readonly number[];
  readonly succeed: () => void;
  readonly fail: (fault: Error) => void;
}

/** A batcher whose batches wait for the test; a request's result is its number times ten. */
function controlled(options: Partial<BatcherOptions<string, number, number>> = {}) {
  const running: Running[] = [];
  const queue = new Batcher<string, number, number>({
    run: (key, batch) =>
      new Promise((resolve, reject) => {
        const succeed = () => {
          resolve(batch.map((request) => request * 10));
        };
        running.push({ key, batch, succeed, fail: reject });
      }),
    batchSizeMax: 100,
    runningPerKeyMax: 1,
    ...options,
  });
  return { queue, running, batches: () => running.map(({ key, batch }) => `${key}:${batch.join(',')}`) };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('an idle queue', () => {
  test('starts in the turn of the event loop in which its first request arrived, with all who arrived in it', async () => {
    const { queue, batches } = controlled();
    for (const request of [1, 2]) void queue.submit('a', request);
    expect(batches()).toEqual([]);
    await settled();
    expect(batches()).toEqual(['a:1,2']);
  });

  test('is forgotten when its last batch is done', async () => {
    const { queue, running } = controlled();
    const answer = queue.submit('a', 1);
    await settled();
    running[0]?.succeed();
    await expect(answer).resolves.toBe(10);
    expect([queue.waiting, queue.running]).toEqual([0, 0]);
  });
});

describe('a busy queue', () => {
  test('tells how many wait, in all and for one key', async () => {
    const { queue } = controlled();
    void queue.submit('a', 1);
    await settled();
    for (const request of [2, 3]) void queue.submit('a', request);
    expect([queue.waiting, queue.waitingFor('a'), queue.waitingFor('b')]).toEqual([2, 2, 0]);
  });

  test('gathers who comes meanwhile into the next batch, in order of arrival', async () => {
    const { queue, running, batches } = controlled();
    const answers = [queue.submit('a', 1)];
    await settled();
    answers.push(queue.submit('a', 2));
    await settled();
    answers.push(queue.submit('a', 3));
    await settled();
    expect(batches()).toEqual(['a:1']);
    running[0]?.succeed();
    await settled();
    expect(batches()).toEqual(['a:1', 'a:2,3']);
    running[1]?.succeed();
    await expect(Promise.all(answers)).resolves.toEqual([10, 20, 30]);
  });

  test('does not keep another key waiting', async () => {
    const { queue, batches } = controlled();
    void queue.submit('a', 1);
    await settled();
    void queue.submit('b', 2);
    await settled();
    expect(batches()).toEqual(['a:1', 'b:2']);
  });
});

describe('limits', () => {
  test('cut a batch by its size and by its weight, and let a single heavy request pass', async () => {
    const { queue, running, batches } = controlled({ batchSizeMax: 3, batchWeightMax: 10, weigh: (request) => request });
    for (const request of [1, 1, 1, 9, 5, 20, 1]) void queue.submit('a', request);
    await settled();
    for (let turn = 0; turn < 5; turn += 1) {
      running[turn]?.succeed();
      await settled();
    }
    expect(batches()).toEqual(['a:1,1,1', 'a:9', 'a:5', 'a:20', 'a:1']);
  });

  test('let as many batches of one key run as allowed', async () => {
    const { queue, batches } = controlled({ runningPerKeyMax: 2, batchSizeMax: 1 });
    for (const request of [1, 2, 3]) void queue.submit('a', request);
    await settled();
    expect(batches()).toEqual(['a:1', 'a:2']);
  });

  test('answer those for whom it is too late, without serving them', async () => {
    const { queue, running, batches } = controlled({ expired: (request) => (request === 2 ? -1 : undefined) });
    const answers = [1, 2, 3].map((request) => queue.submit('a', request));
    await settled();
    expect(batches()).toEqual(['a:1,3']);
    running[0]?.succeed();
    await expect(Promise.all(answers)).resolves.toEqual([10, -1, 30]);
  });
});

describe('a fault', () => {
  test('rejects its own batch and no other', async () => {
    const { queue, running } = controlled({ batchSizeMax: 1 });
    const answers = Promise.allSettled([1, 2].map((request) => queue.submit('a', request)));
    await settled();
    running[0]?.fail(new Error('lost'));
    await settled();
    running[1]?.succeed();
    expect(await answers).toMatchObject([{ status: 'rejected' }, { status: 'fulfilled', value: 20 }]);
  });

  test('is a batch that comes back with too few results', async () => {
    const queue = new Batcher<string, number, number>({
      run: () => Promise.resolve([]),
      batchSizeMax: 10,
    });
    await expect(queue.submit('a', 1)).rejects.toThrow('a batch of 1 came back with 0 results');
  });
});

describe('a large batch', () => {
  test('is delivered in slices, one in each turn of the event loop, in order, while the next one runs', async () => {
    const { queue, running } = controlled({ batchSizeMax: 1_000 });
    const results: number[] = [];
    for (let request = 0; request < 200; request += 1) void queue.submit('a', request).then((result) => results.push(result));
    await settled();
    void queue.submit('a', 200).catch(() => undefined);
    running[0]!.succeed();
    const slices: number[] = [];
    let turns = 0;
    while (results.length < 200 && (turns += 1) <= 200) {
      const before = results.length;
      await settled();
      if (results.length > before) slices.push(results.length - before);
      expect(running).toHaveLength(2);
    }
    expect(slices.length).toBeGreaterThan(1);
    expect(Math.max(...slices)).toBeLessThan(100);
    expect(results).toEqual(Array.from({ length: 200 }, (_, request) => request * 10));
  });
});

test('whatever the schedule: every request once, and within every limit', async () => {
  const limits = fc.record({ batchSizeMax: fc.integer({ min: 1, max: 5 }), runningPerKeyMax: fc.integer({ min: 1, max: 3 }) });
  const arrivals = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), limits, arrivals, async (scheduler, { batchSizeMax, runningPerKeyMax }, keys) => {
      const served = new Map<string, number[]>();
      const running = new Map<string, number>();
      const begin = (key: string, change: 1 | -1) => {
        running.set(key, (running.get(key) ?? 0) + change);
        expect(running.get(key)).toBeLessThanOrEqual(runningPerKeyMax);
      };
      const queue = new Batcher<string, number, number>({
        run: async (key, batch) => {
          begin(key, 1);
          expect(batch.length).toBeLessThanOrEqual(batchSizeMax);
          await scheduler.schedule(Promise.resolve());
          served.set(key, [...(served.get(key) ?? []), ...batch]);
          begin(key, -1);
          return batch;
        },
        batchSizeMax,
        runningPerKeyMax,
      });
      const answers = Promise.all(keys.map((key, request) => scheduler.schedule(Promise.resolve()).then(() => queue.submit(key, request))));
      await scheduler.waitFor(answers);
      expect(await answers).toEqual(keys.map((_key, request) => request));
      expect([...served.values()].flat().sort((a, b) => a - b)).toEqual(keys.map((_key, request) => request));
      expect([queue.waiting, queue.running]).toEqual([0, 0]);
    }),
    { numRuns: 50 },
  );
});
