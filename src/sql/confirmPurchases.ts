import type { Queryable } from '../db/client.js';
import type { Purchase } from '../sale/types.js';
import { purchaseColumns, type PurchaseRow, toPurchase } from './purchaseColumns.js';

export interface Confirmation {
  readonly eventId: string;
  readonly purchaseId: string;
  /** A UUIDv7 whose last twelve bits are zero; the tickets get it with their number in the purchase in place of those. */
  readonly firstTicketId: string;
}

interface Row extends PurchaseRow {
  /** Whether this statement confirmed it. */
  readonly confirmed: boolean;
  readonly firstTicketId: string;
  /** The tickets that this statement issued, of all purchases. */
  readonly issued: number;
}

/**
 * Confirms holds that have not expired, and issues their tickets. It locks the purchases, in the order of their ids, and no event:
 * `available` was reduced when the hold was made. Whatever else ends a hold (expiry, release, cancellation) locks the same row
 * first, so exactly one of them happens.
 *
 * The clock is read after the lock is granted, so a hold that waited for its lock until it expired is not confirmed, and a purchase
 * that is reported as expired can never be confirmed later. Every asked purchase is locked, also one that was confirmed before:
 * the commit writes its lock to the WAL and waits for the synchronous standby, so a repeated confirmation is as durable as the first.
 *
 * What is confirmed is chosen from the locked rows alone. As conditions of the UPDATE, whether the clock is read before or after the
 * wait would depend on the plan; and a session that has planned the statement while few purchases were held would look for each
 * hold among all holds of its event (100 of 50,000 in 2 to 4 s; this way in 15 to 60 ms).
 *
 * The number of tickets is not known before the statement runs, so it numbers them itself. (Reading the quantities first, in a
 * statement of its own, costs a second round trip per batch.)
 *
 * @param confirmations each purchase once
 * @returns the purchases that exist, as they are afterwards; `undefined` in place of the ticket ids of a purchase that another session
 *   confirmed while this statement waited for it: they were written after this statement's snapshot
 */
export async function confirmPurchases(
  db: Queryable,
  confirmations: readonly Confirmation[],
): Promise<(Omit<Purchase, 'ticketIds'> & { readonly ticketIds: readonly string[] | undefined })[]> {
  const rows = await db.$queryRaw<Row[]>`
    WITH locked AS MATERIALIZED (
      SELECT ${purchaseColumns}, asked.first_ticket_id
        FROM unnest(${confirmations.map(({ eventId }) => eventId)}::uuid[], ${confirmations.map(({ purchaseId }) => purchaseId)}::uuid[],
                    ${confirmations.map(({ firstTicketId }) => firstTicketId)}::text[]) AS asked (event_id, id, first_ticket_id),
             purchases p
       WHERE p.event_id = asked.event_id AND p.id = asked.id
       ORDER BY p.event_id, p.id
         FOR NO KEY UPDATE OF p
    ), held AS MATERIALIZED (
      SELECT * FROM locked WHERE status = 'held' AND "expiresAt" > clock_timestamp()
    ), confirmed AS (
      UPDATE purchases p
         SET status = 'confirmed'
        FROM held
       WHERE p.event_id = held."eventId" AND p.id = held.id
      RETURNING p.event_id, p.id, p.quantity, held.first_ticket_id
    ), issued AS (
      INSERT INTO tickets (event_id, id, purchase_id)
      SELECT event_id, overlay(first_ticket_id PLACING lpad(to_hex(number), 3, '0') FROM 34)::uuid, id
        FROM confirmed, generate_series(0, quantity - 1) AS number
      RETURNING 1
    )
    SELECT locked.id, locked."eventId", locked.quantity, locked.status, locked."buyerId", locked.reference, locked."createdAt",
           locked."expiresAt", locked."isDue" OR locked.status = 'held' AS "isDue", confirmed.id IS NOT NULL AS confirmed,
           locked.first_ticket_id AS "firstTicketId", (SELECT count(*)::int FROM issued) AS issued,
           CASE WHEN confirmed.id IS NULL
                THEN ARRAY (SELECT t.id::text FROM tickets t WHERE t.event_id = locked."eventId" AND t.purchase_id = locked.id ORDER BY t.id)
                ELSE '{}' END AS "ticketIds"
      FROM locked LEFT JOIN confirmed ON confirmed.event_id = locked."eventId" AND confirmed.id = locked.id`;
  const issued = rows.reduce((sum, { confirmed, quantity }) => sum + (confirmed ? quantity : 0), 0);
  if (rows.some((row) => row.issued !== issued)) throw new Error(`confirmed ${String(issued)} tickets, issued ${String(rows[0]?.issued)}`);
  return rows.map((row) => {
    if (!row.confirmed) {
      const purchase = toPurchase(row);
      return {
        ...purchase,
        ticketIds: purchase.status === 'confirmed' && purchase.ticketIds.length === 0 ? undefined : purchase.ticketIds,
      };
    }
    return { ...toPurchase({ ...row, status: 'confirmed', isDue: false }), ticketIds: numbered(row.firstTicketId, row.quantity) };
  });
}

/** As the statement numbers them. */
function numbered(firstTicketId: string, quantity: number): string[] {
  return Array.from({ length: quantity }, (_, number) => firstTicketId.slice(0, 33) + number.toString(16).padStart(3, '0'));
}
