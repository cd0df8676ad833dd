import type { Queryable } from '../db/client.js';
import type { EventState } from '../sale/types.js';
import { stateColumns, type StateRow, toState } from './eventColumns.js';

export interface Snapshot {
  readonly event: EventState;
  /** Whether any of the keys has a purchase. */
  readonly keyKnown: boolean;
}

interface Row extends StateRow {
  readonly keyKnown: boolean;
}

/**
 * The event, and whether a key is known, in one snapshot and without a lock. Whoever takes tickets updates the event's row
 * in the same transaction, so the snapshot shows a purchase if and only if it shows what the purchase took.
 *
 * The keys are looked up one by one (readExisting.ts says why).
 *
 * @returns undefined when there is no such event
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
