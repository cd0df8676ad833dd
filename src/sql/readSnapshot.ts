import type { Queryable } from '../db/client.js';
import type { EventState } from '../sale/types.js';
import { stateColumns, type StateRow, toState } from './eventColumns.js';

export interface Snapshot {
  readonly event: EventState;
  /** Whether a purchase exists for any of the keys. */
  readonly keyKnown: boolean;
}

interface Row extends StateRow {
  readonly keyKnown: boolean;
}

/**
 * The event, and whether a key is known, in one snapshot and without a lock. Every purchase updates the event's row in its own
 * transaction, so the snapshot shows a purchase if and only if `available` has been reduced by it.
 *
 * The keys are looked up one by one (readExisting.ts explains why).
 *
 * @returns undefined if the event does not exist
 */
export async function readSnapshot(db: Queryable, eventId: string, keys: readonly string[]): Promise<Snapshot | undefined> {
  const keyList = `{${keys.map((key) => JSON.stringify(key)).join()}}`;
  const [row] = await db.$queryRaw<Row[]>`
    SELECT ${stateColumns},
           EXISTS (SELECT
                     FROM unnest(${keyList}::text[]) AS asked (key),
                          LATERAL (SELECT FROM purchases p WHERE p.event_id = events.id AND p.idempotency_key = asked.key OFFSET 0) AS known)
             AS "keyKnown"
      FROM events
     WHERE events.id = ${eventId}::uuid`;
  return row && { event: toState(row), keyKnown: row.keyKnown };
}
