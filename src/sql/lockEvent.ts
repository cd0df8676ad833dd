import type { Queryable } from '../db/client.js';
import { fence } from '../db/fence.js';
import { stateColumns, type StateRow } from './eventColumns.js';

/**
 * Locks the event's row until the end of the transaction. It waits for the batch that holds the lock, up to the lock timeout.
 *
 * FOR NO KEY UPDATE is the lock that the following UPDATE takes anyway, and the weakest one that excludes another batch.
 *
 * A statement that waited for a lock sees the newest version of the row it locked, but every other table as it was
 * before the wait. So this statement must not read anything else: `WITH locked AS (… FOR UPDATE), existing AS (SELECT …)` oversells.
 *
 * @returns undefined if the event does not exist
 */
export async function lockEvent(tx: Queryable, eventId: string): Promise<StateRow | undefined> {
  const rows = await tx.$queryRaw<StateRow[]>`
    SELECT ${stateColumns}
      FROM events
     WHERE id = ${eventId}::uuid
       FOR NO KEY UPDATE`;
  return orProveMissing(tx, rows);
}

/**
 * The same lock with a fence: it increments the event's revision. A fast statement that was sent earlier and has not arrived yet
 * names the previous revision, so it can no longer sell. (The revision is a fencing token, as in Kleppmann's "How to do
 * distributed locking", 2016: the resource itself rejects requests with an older number.)
 */
export async function lockAndFenceEvent(tx: Queryable, eventId: string): Promise<StateRow | undefined> {
  const rows = await tx.$queryRaw<StateRow[]>`
    UPDATE events
       SET revision = revision + 1
     WHERE id = ${eventId}::uuid
    RETURNING ${stateColumns}`;
  return orProveMissing(tx, rows);
}

/** Fences the answer that an event does not exist: a replaced primary must not give it for an event that its successor sells. */
async function orProveMissing(tx: Queryable, [row]: readonly StateRow[]): Promise<StateRow | undefined> {
  if (row) return row;
  await tx.$queryRaw`SELECT (${fence}) IS NOT NULL AS "isProven"`;
  return undefined;
}
