import type { Queryable } from '../db/client.js';
import { fence } from '../db/fence.js';
import type { EventState } from '../sale/types.js';

interface Row {
  available: number;
  revision: number;
  maxPurchaseLimit: number;
}

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
export async function lockEvent(tx: Queryable, eventId: string): Promise<EventState | undefined> {
  const rows = await tx.$queryRaw<Row[]>`
    SELECT available, revision, max_purchase_limit AS "maxPurchaseLimit"
      FROM events
     WHERE id = ${eventId}::uuid
       FOR NO KEY UPDATE`;
  return toState(tx, rows);
}

/**
 * The same lock with a fence: it increments the event's revision. A fast statement that was sent earlier and has not arrived yet
 * names the previous revision, so it can no longer sell. (The revision is a fencing token, as in Kleppmann's "How to do
 * distributed locking", 2016: the resource itself rejects requests with an older number.)
 */
export async function lockAndFenceEvent(tx: Queryable, eventId: string): Promise<EventState | undefined> {
  const rows = await tx.$queryRaw<Row[]>`
    UPDATE events
       SET revision = revision + 1
     WHERE id = ${eventId}::uuid
    RETURNING available, revision, max_purchase_limit AS "maxPurchaseLimit"`;
  return toState(tx, rows);
}

/** Fences the answer that an event does not exist: a replaced primary must not give it for an event that its successor sells. */
async function toState(tx: Queryable, [row]: readonly Row[]): Promise<EventState | undefined> {
  if (!row) {
    await tx.$queryRaw`SELECT (${fence}) IS NOT NULL AS "isProven"`;
    return undefined;
  }
  const { available, ...rules } = row;
  return { available, rules };
}
