/**
 * Goal: everybody in line is served once, in order, by batches within their limits, without a timer.
 * Method: batches that the test itself ends, one by one; then a property over random schedules.
 */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { GroupCommit, type GroupCommitOptions } from '../../src/sale/groupCommit.js';

interface Running {
  readonly key: string;
  readonly batch: readonly number[];
  readonly succeed: () => void;
  readonly fail: (fault: Error) => void;
}

/** A group commit whose batches wait for the test; a request's result is its number times ten. */
function controlled(options: Partial<GroupCommitOptions<string, number, number>> = {}) {
  const running: Running[] = [];
  const line = new GroupCommit<string, number, number>({
    run: (key, batch) =>
      new Promise((resolve, reject) => {
        const succeed = () => {
          resolve(batch.map((request) => request * 10));
        };
        running.push({ key, batch, succeed, fail: reject });
      }),
    batchSizeMax: 100,
    inFlightMax: 10,
    inFlightPerKeyMax: 1,
    ...options,
  });
  return { line, running, batches: () => running.map(({ key, batch }) => `${key}:${batch.join(',')}`) };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('an idle line', () => {
  test('starts in the turn of the event loop in which its first request arrived, with all who arrived in it', async () => {
    const { line, batches } = controlled();
    for (const request of [1, 2]) void line.submit('a', request);
    expect(batches()).toEqual([]);
    await settled();
    expect(batches()).toEqual(['a:1,2']);
  });

  test('is forgotten when its last batch is done', async () => {
    const { line, running } = controlled();
    const answer = line.submit('a', 1);
    await settled();
    running[0]?.succeed();
    await expect(answer).resolves.toBe(10);
    expect([line.waiting, line.inFlight]).toEqual([0, 0]);
  });
});

describe('a busy line', () => {
  test('tells how many wait, in all and for one key', async () => {
    const { line } = controlled();
    void line.submit('a', 1);
    await settled();
    for (const request of [2, 3]) void line.submit('a', request);
    expect([line.waiting, line.waitingFor('a'), line.waitingFor('b')]).toEqual([2, 2, 0]);
  });

  test('gathers who comes meanwhile into the next batch, in order of arrival', async () => {
    const { line, running, batches } = controlled();
    const answers = [line.submit('a', 1)];
    await settled();
    answers.push(line.submit('a', 2));
    await settled();
    answers.push(line.submit('a', 3));
    await settled();
    expect(batches()).toEqual(['a:1']);
    running[0]?.succeed();
    await settled();
    expect(batches()).toEqual(['a:1', 'a:2,3']);
    running[1]?.succeed();
    await expect(Promise.all(answers)).resolves.toEqual([10, 20, 30]);
  });

  test('does not keep another key waiting', async () => {
    const { line, batches } = controlled();
    void line.submit('a', 1);
    await settled();
    void line.submit('b', 2);
    await settled();
    expect(batches()).toEqual(['a:1', 'b:2']);
  });

  test('gives its turn to the next key when connections are few', async () => {
    const { line, running, batches } = controlled({ inFlightMax: 1, batchSizeMax: 1 });
    for (const [key, request] of [
      ['a', 1],
      ['a', 2],
      ['a', 3],
      ['b', 4],
    ] as const)
      void line.submit(key, request);
    await settled();
    for (let turn = 0; turn < 4; turn += 1) {
      running[turn]?.succeed();
      await settled();
    }
    expect(batches()).toEqual(['a:1', 'b:4', 'a:2', 'a:3']);
  });
});

describe('limits', () => {
  test('cut a batch by its size and by its weight, and let a single heavy request pass', async () => {
    const { line, running, batches } = controlled({ batchSizeMax: 3, batchWeightMax: 10, weigh: (request) => request });
    for (const request of [1, 1, 1, 9, 5, 20, 1]) void line.submit('a', request);
    await settled();
    for (let turn = 0; turn < 5; turn += 1) {
      running[turn]?.succeed();
      await settled();
    }
    expect(batches()).toEqual(['a:1,1,1', 'a:9', 'a:5', 'a:20', 'a:1']);
  });

  test('let as many batches of one key run as allowed', async () => {
    const { line, batches } = controlled({ inFlightPerKeyMax: 2, batchSizeMax: 1 });
    for (const request of [1, 2, 3]) void line.submit('a', request);
    await settled();
    expect(batches()).toEqual(['a:1', 'a:2']);
  });

  test('answer those for whom it is too late, without serving them', async () => {
    const { line, running, batches } = controlled({ expired: (request) => (request === 2 ? -1 : undefined) });
    const answers = [1, 2, 3].map((request) => line.submit('a', request));
    await settled();
    expect(batches()).toEqual(['a:1,3']);
    running[0]?.succeed();
    await expect(Promise.all(answers)).resolves.toEqual([10, -1, 30]);
  });
});

describe('a fault', () => {
  test('rejects its own batch and no other', async () => {
    const { line, running } = controlled({ batchSizeMax: 1 });
    const answers = Promise.allSettled([1, 2].map((request) => line.submit('a', request)));
    await settled();
    running[0]?.fail(new Error('lost'));
    await settled();
    running[1]?.succeed();
    expect(await answers).toMatchObject([{ status: 'rejected' }, { status: 'fulfilled', value: 20 }]);
  });

  test('is a batch that comes back with too few results', async () => {
    const line = new GroupCommit<string, number, number>({
      run: () => Promise.resolve([]),
      batchSizeMax: 10,
      inFlightMax: 1,
      inFlightPerKeyMax: 1,
    });
    await expect(line.submit('a', 1)).rejects.toThrow('a batch of 1 came back with 0 results');
  });
});

describe('a large batch', () => {
  test('is told in shares, one in each turn of the event loop, in order, while the next one runs', async () => {
    const { line, running } = controlled({ batchSizeMax: 1_000 });
    const told: number[] = [];
    for (let request = 0; request < 200; request += 1) void line.submit('a', request).then((result) => told.push(result));
    await settled();
    void line.submit('a', 200).catch(() => undefined);
    running[0]!.succeed();
    const shares: number[] = [];
    let turns = 0;
    while (told.length < 200 && (turns += 1) <= 200) {
      const before = told.length;
      await settled();
      if (told.length > before) shares.push(told.length - before);
      expect(running).toHaveLength(2);
    }
    expect(shares.length).toBeGreaterThan(1);
    expect(Math.max(...shares)).toBeLessThan(100);
    expect(told).toEqual(Array.from({ length: 200 }, (_, request) => request * 10));
  });
});

test('whatever the schedule: everyone once, in order within a key, and within every limit', async () => {
  const limits = fc.record({ batchSizeMax: fc.integer({ min: 1, max: 5 }), inFlightMax: fc.integer({ min: 1, max: 3 }) });
  const arrivals = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), limits, arrivals, async (scheduler, { batchSizeMax, inFlightMax }, keys) => {
      const served = new Map<string, number[]>();
      let running = 0;
      const line = new GroupCommit<string, number, number>({
        run: async (key, batch) => {
          running += 1;
          expect(batch.length).toBeLessThanOrEqual(batchSizeMax);
          expect(running).toBeLessThanOrEqual(inFlightMax);
          await scheduler.schedule(Promise.resolve());
          served.set(key, [...(served.get(key) ?? []), ...batch]);
          running -= 1;
          return batch;
        },
        batchSizeMax,
        inFlightMax,
        inFlightPerKeyMax: 1,
      });
      const answers = Promise.all(keys.map((key, request) => scheduler.schedule(Promise.resolve()).then(() => line.submit(key, request))));
      await scheduler.waitFor(answers);
      expect(await answers).toEqual(keys.map((_key, request) => request));
      expect([...served.values()].flat().sort((a, b) => a - b)).toEqual(keys.map((_key, request) => request));
      expect([line.waiting, line.inFlight]).toEqual([0, 0]);
    }),
    { numRuns: 50 },
  );
});
