import type { Queryable } from '../db/client.js';
import type { Idempotency } from './recallPurchases.js';

/** A purchase as granted, with as many ticket ids as its quantity says. */
export interface NewPurchase {
  readonly id: string;
  readonly quantity: number;
  readonly idempotency: Idempotency | null;
  readonly ticketIds: readonly string[];
}

interface Row {
  sold: number;
  purchases: number;
  tickets: number;
  createdAt: Date;
}

/**
 * Takes the tickets off what is available and issues them: all, or a thrown error and nothing.
 *
 * One statement, because every round trip under the lock is paid by everyone in line. The UPDATE is conditional although
 * the lock makes its condition certain, and the rows that came back are counted although the statement cannot lose any:
 * this is the place where a mistake would sell a ticket twice.
 *
 * @returns the time of the purchases, by the database's clock
 */
export async function recordPurchases(tx: Queryable, eventId: string, purchases: readonly NewPurchase[]): Promise<Date> {
  const tickets = purchases.flatMap((purchase) => purchase.ticketIds.map((id) => ({ id, purchaseId: purchase.id })));
  const rows = await tx.$queryRaw<Row[]>`
    WITH sold AS (
      UPDATE events
         SET available = available - ${tickets.length}::int, updated_at = statement_timestamp()
       WHERE id = ${eventId}::uuid AND available >= ${tickets.length}::int
      RETURNING id
    ), bought AS (
      INSERT INTO purchases (event_id, id, quantity, idempotency_key, request_fingerprint, created_at)
      SELECT sold.id, new.id, new.quantity, new.key, new.fingerprint, statement_timestamp()
        FROM sold, unnest(${purchases.map((purchase) => purchase.id)}::uuid[],
                          ${purchases.map((purchase) => purchase.quantity)}::int[],
                          ${purchases.map((purchase) => purchase.idempotency?.key ?? null)}::text[],
                          ${purchases.map((purchase) => purchase.idempotency?.fingerprint ?? null)}::text[]
                         ) AS new (id, quantity, key, fingerprint)
      RETURNING 1
    ), issued AS (
      INSERT INTO tickets (event_id, id, purchase_id)
      SELECT sold.id, new.id, new.purchase_id
        FROM sold, unnest(${tickets.map((ticket) => ticket.id)}::uuid[],
                          ${tickets.map((ticket) => ticket.purchaseId)}::uuid[]) AS new (id, purchase_id)
      RETURNING 1
    )
    SELECT (SELECT count(*)::int FROM sold) AS sold,
           (SELECT count(*)::int FROM bought) AS purchases,
           (SELECT count(*)::int FROM issued) AS tickets,
           statement_timestamp()::timestamptz(3) AS "createdAt"`;
  const [row] = rows;
  if (row?.sold !== 1 || row.purchases !== purchases.length || row.tickets !== tickets.length) {
    throw new Error(`meant ${String(purchases.length)} purchases of ${String(tickets.length)} tickets, wrote ${JSON.stringify(row)}`);
  }
  return row.createdAt;
}
