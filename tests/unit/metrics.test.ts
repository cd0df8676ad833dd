import { expect, test } from '@jest/globals';
import { createMetrics } from '../../src/observability/metrics.js';

test('requests that come together share a rendering, and each gets one that began after it came', async () => {
  const metrics = createMetrics(() => undefined);
  let [value, renderings] = [1, 0];
  metrics.gauge('watched', 'A value that changes', () => {
    renderings += 1;
    return value;
  });
  const valueIn = async (text: Promise<string>) => Number(/^watched (\d+)$/m.exec(await text)?.[1]);

  const together = Array.from({ length: 20 }, () => valueIn(metrics.text()));
  expect(new Set(await Promise.all(together))).toEqual(new Set([1]));
  expect(renderings).toBe(1);
  value = 2;
  await expect(valueIn(metrics.text())).resolves.toBe(2);
  expect(renderings).toBe(2);
});
