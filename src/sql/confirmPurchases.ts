import type { Queryable } from '../db/client.js';
import type { Purchase } from '../sale/types.js';
import { toArray } from './arrayLiteral.js';
import { purchaseColumns, type PurchaseRow, toPurchase } from './purchaseColumns.js';

export interface Confirmation {
  readonly eventId: string;
  readonly purchaseId: string;
  /** A UUIDv7 whose last twelve bits are zero; the tickets get it with their number in the purchase in place of those. */
  readonly firstTicketId: string;
}

/** `undefined` in place of the ticket ids if another session confirmed it while this one waited for it. */
type Confirmed = Omit<Purchase, 'ticketIds'> & { readonly ticketIds: readonly string[] | undefined };

/** As JSON. */
interface Row extends Omit<PurchaseRow, 'id' | 'eventId' | 'createdAt' | 'expiresAt'> {
  /** Of the confirmation, from 1. */
  readonly number: number;
  readonly createdAt: string;
  readonly expiresAt: string | null;
  /** Whether this statement confirmed it. */
  readonly confirmed: boolean;
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
 * Each purchase is looked up separately, as in lockPurchases.ts: planned as a join while the table is small, the statement would read
 * all of it. The purchases come back as one JSON value, and the lists go out as array literals, because Prisma and the driver adapter
 * convert rows and arrays value by value. With this, and without a hash object per token (callers.ts), a confirmation takes 69 µs of
 * the API's processor time instead of 85 (medians of 7 rounds, A B A B, 256 connections, on a busy machine).
 *
 * The number of tickets is not known before the statement runs, so it numbers them itself. (Reading the quantities first, in a
 * statement of its own, costs a second round trip per batch.)
 *
 * @param confirmations each purchase once
 * @returns the purchases that exist, as they are afterwards; `undefined` in place of the ticket ids of a purchase that another session
 *   confirmed while this statement waited for it: they were written after this statement's snapshot
 */
export async function confirmPurchases(db: Queryable, confirmations: readonly Confirmation[]): Promise<Confirmed[]> {
  const { eventIds, purchaseIds, firstTicketIds } = toColumns(confirmations);
  const [answer] = await db.$queryRaw<{ purchases: Row[]; issued: number }[]>`
    WITH locked AS MATERIALIZED (
      SELECT found.*, asked.first_ticket_id, asked.number
        FROM (SELECT *
                FROM unnest(${eventIds}::uuid[], ${purchaseIds}::uuid[], ${firstTicketIds}::text[])
                     WITH ORDINALITY AS given (event_id, id, first_ticket_id, number)
               ORDER BY event_id, id OFFSET 0) AS asked,
             LATERAL (SELECT ${purchaseColumns}
                        FROM purchases p
                       WHERE p.event_id = asked.event_id AND p.id = asked.id
                         FOR NO KEY UPDATE) AS found
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
    ), answered AS (
      SELECT locked.number, locked.quantity, locked.status, locked."buyerId", locked.reference, locked."createdAt", locked."expiresAt",
             locked.status = 'held' AS "isDue", confirmed.id IS NOT NULL AS confirmed,
             CASE WHEN confirmed.id IS NULL
                  THEN ARRAY (SELECT t.id FROM tickets t WHERE t.event_id = locked."eventId" AND t.purchase_id = locked.id ORDER BY t.id)
                  ELSE '{}' END AS "ticketIds"
        FROM locked LEFT JOIN confirmed ON confirmed.event_id = locked."eventId" AND confirmed.id = locked.id
    )
    SELECT (SELECT coalesce(json_agg(answered), '[]') FROM answered) AS purchases, (SELECT count(*)::int FROM issued) AS issued`;
  if (!answer) throw new Error('a statement that always returns a row returned none');
  const issued = answer.purchases.reduce((sum, { confirmed, quantity }) => sum + (confirmed ? quantity : 0), 0);
  if (answer.issued !== issued) throw new Error(`confirmed ${String(issued)} tickets, issued ${String(answer.issued)}`);
  return answer.purchases.map((row) => toConfirmed(row, confirmations[row.number - 1]));
}

function toConfirmed({ createdAt, expiresAt, status, confirmed, ...row }: Row, asked: Confirmation | undefined): Confirmed {
  if (!asked) throw new Error(`confirmed purchase number ${String(row.number)}, which was not asked for`);
  const purchase = toPurchase({
    id: asked.purchaseId,
    eventId: asked.eventId,
    quantity: row.quantity,
    status: confirmed ? 'confirmed' : status,
    isDue: row.isDue && !confirmed,
    buyerId: row.buyerId,
    reference: row.reference,
    createdAt: new Date(createdAt),
    expiresAt: expiresAt === null ? null : new Date(expiresAt),
    ticketIds: confirmed ? numbered(asked.firstTicketId, row.quantity) : row.ticketIds,
  });
  return purchase.status === 'confirmed' && purchase.ticketIds.length === 0 ? { ...purchase, ticketIds: undefined } : purchase;
}

/** Array literals, like those of recordPurchases.ts. */
function toColumns(confirmations: readonly Confirmation[]) {
  let [eventIds, purchaseIds, firstTicketIds] = ['', '', ''];
  for (const each of confirmations) {
    eventIds += `,${each.eventId}`;
    purchaseIds += `,${each.purchaseId}`;
    firstTicketIds += `,${each.firstTicketId}`;
  }
  return { eventIds: toArray(eventIds), purchaseIds: toArray(purchaseIds), firstTicketIds: toArray(firstTicketIds) };
}

/** As the statement numbers them. */
function numbered(firstTicketId: string, quantity: number): string[] {
  const ids: string[] = [];
  for (let number = 0; number < quantity; number += 1) ids.push(firstTicketId.slice(0, 33) + number.toString(16).padStart(3, '0'));
  return ids;
}
