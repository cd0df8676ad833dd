import { expect, test } from '@jest/globals';
import type { Pool } from '../../src/db/client.js';
import { sellStraight } from '../../src/sale/sellStraight.js';

test('batches of which nobody is left by the time they begin ask the database nothing', async () => {
  const noDatabase = { prisma: undefined } as unknown as Pool;
  await expect(
    sellStraight(noDatabase, [
      { eventId: 'one', requests: [] },
      { eventId: 'another', requests: [] },
    ]),
  ).resolves.toEqual([[], []]);
});
