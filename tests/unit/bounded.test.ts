/**
 * Goal: look-ups are bounded in number and in time, and only a fixed number is served at once.
 * Method: handlers that the test ends itself, and Jest's clock.
 */
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { bounded } from '../../src/http/middleware/bounded.js';

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

/** Asks for a handler that waits until the test ends it. */
function stage() {
  const onRefused = jest.fn();
  const serving: (() => void)[] = [];
  const handler = bounded(
    { inProgressMax: 3, atOnceMax: 1, waitMs: 100 },
    onRefused,
  )(() => new Promise<void>((resolve) => serving.push(resolve)));
  const ask = () =>
    Promise.resolve(handler(undefined as never, undefined as never, () => undefined)).then(
      () => 'served',
      (refusal: unknown) => (refusal as { code: string }).code,
    );
  return { ask, serving, onRefused };
}

test('whoever comes on top of those who are served or wait is refused at once', async () => {
  const { ask, serving, onRefused } = stage();
  const asked = [ask(), ask(), ask()];
  await expect(ask()).resolves.toBe('overloaded');
  expect(onRefused).toHaveBeenCalledTimes(1);
  for (let served = 0; served < 3; served += 1) {
    await jest.advanceTimersByTimeAsync(1);
    expect(serving).toHaveLength(served + 1);
    serving[served]!();
  }
  await expect(Promise.all(asked)).resolves.toEqual(['served', 'served', 'served']);
});

test('whose turn comes too late is refused, and not served', async () => {
  const { ask, serving, onRefused } = stage();
  const [first, second] = [ask(), ask()];
  await jest.advanceTimersByTimeAsync(101);
  serving[0]!();
  await jest.advanceTimersByTimeAsync(1);
  await expect(Promise.all([first, second])).resolves.toEqual(['served', 'overloaded']);
  expect(serving).toHaveLength(1);
  expect(onRefused).toHaveBeenCalledTimes(1);
});
