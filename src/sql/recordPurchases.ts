import type { Queryable } from '../db/client.js';
import { Prisma } from '../generated/prisma/client.js';
import type { Idempotency } from '../sale/types.js';
import { mayTake } from './eventColumns.js';

/** A purchase to be written, with as many ticket ids as its quantity says. */
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
 * Takes the tickets off what is available and issues them: all of it, or nothing. The UPDATE is conditional: enough must
 * be available, and the event's rules must be those of `revision`. It takes the event's row lock, and having waited for it
 * looks at its conditions again. The inserts hang on the row that it returns. A purchase id or key that was used before is a
 * unique violation, which undoes everything; recordUnlessKnown.ts leaves such purchases out instead.
 *
 * One statement, because every round trip under the lock is paid by every request in the queue. Lists travel as array
 * literals, put together here: JavaScript arrays pass through three layers that copy and convert them element by element.
 *
 * @returns the time of the purchases, by the database's clock; undefined, and nothing happened, if the conditions do not hold
 * @throws a unique violation, and whatever the database throws
 */
export async function recordPurchases(
  db: Queryable,
  eventId: string,
  revision: number,
  purchases: readonly NewPurchase[],
): Promise<Date | undefined> {
  const { ticketCount, ...columns } = toColumns(purchases);
  const [row] = await db.$queryRaw<Row[]>`
    WITH sold AS (
      UPDATE events
         SET available = available - ${ticketCount}::int, updated_at = statement_timestamp()
       WHERE id = ${eventId}::uuid AND ${mayTake(Prisma.sql`${ticketCount}::int`, Prisma.sql`${revision}::int`)}
      RETURNING id
    ), bought AS (
      INSERT INTO purchases (event_id, id, quantity, idempotency_key, request_fingerprint, created_at)
      SELECT sold.id, new.id, new.quantity, new.key, new.fingerprint, statement_timestamp()
        FROM sold, unnest(${toArray(columns.purchaseIds)}::uuid[], ${toArray(columns.quantities)}::int[], ${toArray(columns.keys)}::text[], ${toArray(columns.fingerprints)}::text[])
                     AS new (id, quantity, key, fingerprint)
      RETURNING 1
    ), issued AS (
      INSERT INTO tickets (event_id, id, purchase_id)
      SELECT sold.id, new.id, new.purchase_id
        FROM sold, unnest(${toArray(columns.ticketIds)}::uuid[], ${toArray(columns.ticketPurchaseIds)}::uuid[]) AS new (id, purchase_id)
      RETURNING 1
    )
    SELECT (SELECT count(*)::int FROM sold) AS sold,
           (SELECT count(*)::int FROM bought) AS purchases,
           (SELECT count(*)::int FROM issued) AS tickets,
           statement_timestamp()::timestamptz(3) AS "createdAt"`;
  if (row?.sold === 0 && row.purchases === 0 && row.tickets === 0) return undefined;
  if (row?.sold !== 1 || row.purchases !== purchases.length || row.tickets !== ticketCount) {
    throw new Error(`meant ${String(purchases.length)} purchases of ${String(ticketCount)} tickets, wrote ${JSON.stringify(row)}`);
  }
  return row.createdAt;
}

/** The columns of the purchases and of their tickets: the elements of arrays, each behind a comma. */
export function toColumns(purchases: readonly NewPurchase[]) {
  let ticketCount = 0;
  let [purchaseIds, quantities, keys, fingerprints, ticketIds, ticketPurchaseIds] = ['', '', '', '', '', ''];
  for (const { id, quantity, idempotency, ticketIds: own } of purchases) {
    ticketCount += quantity;
    purchaseIds += `,${id}`;
    quantities += `,${String(quantity)}`;
    keys += `,${arrayElement(idempotency?.key)}`;
    fingerprints += `,${arrayElement(idempotency?.fingerprint)}`;
    for (const ticketId of own) {
      ticketIds += `,${ticketId}`;
      ticketPurchaseIds += `,${id}`;
    }
  }
  return { ticketCount, purchaseIds, quantities, keys, fingerprints, ticketIds, ticketPurchaseIds };
}

/** An array as Postgres writes it. @param column of `toColumns` */
export function toArray(column: string): string {
  return `{${column.slice(1)}}`;
}

/** For text in visible ASCII, which keys and fingerprints are, Postgres quotes array elements as JSON quotes strings. */
function arrayElement(text: string | undefined): string {
  return text === undefined ? 'NULL' : JSON.stringify(text);
}
