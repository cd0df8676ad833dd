/** What every statement on purchases shares: the columns of a purchase, and its status at the moment of a statement. */
import { Prisma } from '../generated/prisma/client.js';
import type { ExistingPurchase, Purchase } from '../sale/types.js';

/** A purchase as Postgres returns it; `isDue` if it is a hold whose time is over and which no statement has marked as expired yet. */
export interface PurchaseRow extends Purchase {
  readonly isDue: boolean;
}

export interface KeyedPurchaseRow extends PurchaseRow {
  readonly key: string | null;
  readonly fingerprint: string | null;
}

/** Whether a purchase `p` is an expired hold that is still marked as held. */
export const isDue = Prisma.sql`(p.status = 'held' AND p.expires_at <= statement_timestamp())`;

/** Of `PurchaseRow`, without the tickets, from purchases `p`. */
export const purchaseColumns = Prisma.sql`
  p.id, p.event_id AS "eventId", p.quantity, p.status::text AS status, p.buyer_id AS "buyerId", p.reference,
  p.created_at AS "createdAt", p.expires_at AS "expiresAt", ${isDue} AS "isDue"`;

/** Of `KeyedPurchaseRow`, likewise. */
export const keyedColumns = Prisma.sql`${purchaseColumns}, p.idempotency_key AS key, p.request_fingerprint AS fingerprint`;

/** The tickets of a purchase `p`, in the order of their ids. */
export const ticketIds = Prisma.sql`
  ARRAY (SELECT t.id::text
           FROM tickets t
          WHERE t.event_id = p.event_id AND t.purchase_id = p.id
          ORDER BY t.id)`;

export function toPurchase({
  id,
  eventId,
  quantity,
  status,
  buyerId,
  reference,
  createdAt,
  expiresAt,
  isDue: due,
  ticketIds: own,
}: PurchaseRow): Purchase {
  return { id, eventId, quantity, status: due ? 'expired' : status, buyerId, reference, createdAt, expiresAt, ticketIds: own };
}

export function toExisting({ key, fingerprint, ...row }: KeyedPurchaseRow): ExistingPurchase {
  return { purchase: toPurchase(row), idempotency: key === null || fingerprint === null ? null : { key, fingerprint } };
}
