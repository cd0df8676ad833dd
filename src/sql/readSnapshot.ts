import type { Queryable } from '../db/client.js';
import type { EventState } from '../sale/types.js';
import { toTextArray } from './arrayLiteral.js';
import { heldCountedMax } from './readHeld.js';
import { stateColumns, type StateRow, toRules } from './eventColumns.js';

export interface Snapshot {
  readonly event: EventState;
  /** Whether `event.held` counts every hold; it counts `heldCountedMax` of them at least. */
  readonly isHeldComplete: boolean;
  /** Whether a purchase exists for any of the keys. */
  readonly keyKnown: boolean;
}

interface Row extends StateRow {
  readonly keyKnown: boolean;
  readonly held: number;
  readonly holds: number;
  readonly due: number;
  readonly buyerTotals: Readonly<Record<string, number>> | null;
}

/** With so much due, no purchase is refused for want of tickets: a hold has at least one, and the largest purchase a thousand. */
const dueCountedMax = 1_000;

/**
 * The event, and whether a key is known, in one snapshot and without a lock. Every transaction that takes or gives back tickets
 * updates the event's row, so in the snapshot `available` is the quota without exactly those purchases that it shows as held or
 * confirmed. Expired holds count as available and not as their buyers'.
 *
 * The keys and the buyers are looked up one by one (lockPurchases.ts explains why), and the holds of a buyer by the index of buyers: the
 * status is compared as text so that the index of holds, which has all that have expired, cannot be used (100 buyers with 50,000 due
 * holds: 2 s by that one, 20 ms by the other).
 *
 * @param buyerIds without duplicates; empty if nothing depends on their totals
 * @returns undefined if the event does not exist
 */
export async function readSnapshot(
  db: Queryable,
  eventId: string,
  keys: readonly string[],
  buyerIds: readonly string[],
): Promise<Snapshot | undefined> {
  const [row] = await db.$queryRaw<Row[]>`
    SELECT ${stateColumns}, live.held, live.holds, due.due,
           EXISTS (SELECT
                     FROM unnest(${toTextArray(keys)}::text[]) AS asked (key),
                          LATERAL (SELECT FROM purchases p WHERE p.event_id = events.id AND p.idempotency_key = asked.key OFFSET 0) AS known)
             AS "keyKnown",
           (SELECT jsonb_object_agg(buyer.id, coalesce(total.quantity, 0) - coalesce(expired.quantity, 0))
              FROM unnest(${toTextArray(buyerIds)}::text[]) AS buyer (id)
              LEFT JOIN LATERAL (SELECT quantity FROM buyer_totals WHERE event_id = events.id AND buyer_id = buyer.id OFFSET 0) AS total ON true,
                   LATERAL (SELECT sum(quantity)::int AS quantity
                              FROM purchases p
                             WHERE p.event_id = events.id AND p.buyer_id = buyer.id
                               AND p.status::text = 'held' AND p.expires_at <= statement_timestamp()) AS expired) AS "buyerTotals"
      FROM events,
           LATERAL (SELECT coalesce(sum(quantity), 0)::int AS held, count(*)::int AS holds
                      FROM (SELECT quantity
                              FROM purchases
                             WHERE event_id = events.id AND status = 'held' AND expires_at > statement_timestamp()
                             LIMIT ${heldCountedMax}::int + 1) AS hold) AS live,
           LATERAL (SELECT coalesce(sum(quantity), 0)::int AS due
                      FROM (SELECT quantity
                              FROM purchases
                             WHERE event_id = events.id AND status = 'held' AND expires_at <= statement_timestamp()
                             LIMIT ${dueCountedMax}::int) AS hold) AS due
     WHERE events.id = ${eventId}::uuid`;
  if (!row) return undefined;
  const { available, due, held, holds, phase, startsInSeconds, buyerTotals, keyKnown } = row;
  return {
    event: {
      available: available + due,
      held,
      phase,
      startsInSeconds,
      rules: toRules(row),
      buyerTotals: new Map(Object.entries(buyerTotals ?? {})),
    },
    isHeldComplete: holds <= heldCountedMax,
    keyKnown,
  };
}
