/**
 * Goal: a refusal states exactly what is held while that is cheap to count; beyond that it costs a bounded share, and is never wrong by
 * more than the time for which a count is reused.
 * Method: holds written by SQL, up to and beyond the number that is always counted; both paths that refuse, with their counts at hand.
 */
import { beforeAll, expect, test } from '@jest/globals';
import type { Pool } from '../../src/db/client.js';
import { HeldCounts } from '../../src/sale/heldCounts.js';
import { sellLocked } from '../../src/sale/lockedPath.js';
import { refuseBySnapshot } from '../../src/sale/snapshotPath.js';
import { heldCountedMax, readHeld } from '../../src/sql/readHeld.js';
import { useDatabase } from '../support/database.js';
import { expectConserved, newEvent, request } from '../support/sales.js';

const database = useDatabase();
let pool: Pool;
beforeAll(() => {
  pool = database.openPool();
});

/** An event of which every ticket is held: one hold of two tickets after the other. */
async function heldEvent(holds: number): Promise<string> {
  const eventId = await newEvent(pool, 2 * holds, 2, { holdSeconds: 600 });
  await addHolds(eventId, holds);
  await database.sql.query('UPDATE events SET available = 0 WHERE id = $1', [eventId]);
  return eventId;
}

async function addHolds(eventId: string, holds: number): Promise<void> {
  await database.sql.query(
    `INSERT INTO purchases (event_id, id, quantity, created_at, status, expires_at)
     SELECT $1, gen_random_uuid(), 2, now(), 'held', now() + interval '10 min' FROM generate_series(1, $2)`,
    [eventId, holds],
  );
}

const refusals = (eventId: string, counts: HeldCounts) => [
  refuseBySnapshot(pool, eventId, [request(1)], undefined, counts),
  sellLocked(pool, eventId, [request(1)], false, counts).then(({ outcomes }) => outcomes),
];

test.each([1, heldCountedMax])('of %d holds every ticket is counted, each time anew', async (holds) => {
  const [eventId, counts] = [await heldEvent(holds), new HeldCounts()];
  for (const refused of refusals(eventId, counts)) await expect(refused).resolves.toEqual([{ kind: 'sold-out', held: 2 * holds }]);
  await database.sql.query(`UPDATE purchases SET status = 'released' WHERE event_id = $1`, [eventId]);
  await expect(counts.read(pool.prisma, eventId)).resolves.toBe(0);
});

test('of more holds all are counted too, and the number is used again for a while', async () => {
  const [eventId, counts] = [await heldEvent(heldCountedMax + 10), new HeldCounts()];
  const held = 2 * (heldCountedMax + 10);
  await expect(readHeld(pool.prisma, eventId, heldCountedMax)).resolves.toMatchObject({ isComplete: false });
  for (const refused of refusals(eventId, counts)) await expect(refused).resolves.toEqual([{ kind: 'sold-out', held }]);
  await expectConserved(pool, eventId, 0, held);

  // A count that took long is used again for long: the database answers this one after a second.
  const slow: Pick<typeof pool.prisma, '$queryRaw'> = {
    $queryRaw: ((...statement: Parameters<typeof pool.prisma.$queryRaw>) =>
      new Promise((resolve) => setTimeout(resolve, 1_000)).then(() => pool.prisma.$queryRaw(...statement))) as typeof pool.prisma.$queryRaw,
  };
  const reused = new HeldCounts();
  await expect(reused.countAll(slow, eventId)).resolves.toBe(held);
  await addHolds(eventId, 1);
  await expect(reused.countAll(pool.prisma, eventId)).resolves.toBe(held);
  await expect(new HeldCounts().countAll(pool.prisma, eventId)).resolves.toBe(held + 2);
});
