import { expect, test } from '@jest/globals';
import type { Pool } from '../../src/db/client.js';
import { sellFast } from '../../src/sale/fastPath.js';
import { noRules } from '../support/sales.js';

test('batches of which nobody is left by the time they begin ask the database nothing', async () => {
  const rules = { revision: 1, maxPurchaseLimit: 4, ...noRules };
  const noDatabase = { prisma: undefined } as unknown as Pool;
  await expect(
    sellFast(noDatabase, [
      { eventId: 'one', requests: [], rules, expectsReplays: false },
      { eventId: 'another', requests: [], rules, expectsReplays: true },
    ]),
  ).resolves.toEqual([[], []]);
});
