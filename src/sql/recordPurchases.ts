import type { Queryable } from '../db/client.js';
import { Prisma } from '../generated/prisma/client.js';
import type { Idempotency } from '../sale/types.js';
import { arrayElement, toArray } from './arrayLiteral.js';
import { mayTake } from './eventColumns.js';

/** A purchase to be written: a hold without tickets if its event has `hold_seconds`, otherwise confirmed, with `quantity` ticket ids. */
export interface NewPurchase {
  readonly id: string;
  readonly quantity: number;
  readonly buyerId: string | null;
  readonly reference: string | null;
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
 * Takes the tickets from `available`, and issues them unless the purchases are holds: everything or nothing. The UPDATE is
 * conditional: enough tickets must be available, and the event's rules must be those of `revision`. It takes the event's row lock;
 * if it had to wait for the lock, it checks its conditions again. The inserts depend on the row that it returns. A purchase id or
 * key that was used before is a unique violation, which rolls back everything; recordUnlessKnown.ts skips such purchases instead.
 *
 * It is one statement, because every queued request waits for each round trip under the lock. Lists are sent as array literals
 * (arrayLiteral.ts).
 *
 * Alternatives measured: one hot event, 256 connections, a key on every request; purchases as a fraction of the answers of an
 * empty route. Compare only figures of the same run (two shared cores, medians):
 *
 *     16 rounds   0.86  this statement alone
 *                 0.82  this statement alone, two batches in flight
 *                 0.77  BEGIN sent together with the statement (pg's pipeline mode), then COMMIT
 *                 0.75  the same, with the next batch starting while this one waits for COMMIT
 *      7 rounds   0.70  BEGIN, this statement, COMMIT
 *                 0.66  the locked path: BEGIN, lock, read, write, COMMIT
 *      4 rounds   0.93  this statement alone, prepared (db/client.ts)
 *      9 rounds   0.83  this statement, started at the end of the event-loop turn (concurrency/batcher.ts)
 *                 0.80  the same, started at once
 *
 * A hundred hot events, as a fraction of the sales of one (5 rounds): 0.96 with shared statements, 0.72 with one per event.
 *
 * Replies are expensive: each waits in an event loop that is busy with HTTP, and Prisma does work per operation. With two batches
 * in flight, each is half as large and they wait for the same lock.
 *
 * @returns the time of the purchases, by the database's clock; undefined if the conditions do not hold: then nothing was written
 * @throws a unique violation, a check violation if a buyer would have too many, or any other database error
 */
export async function recordPurchases(
  db: Queryable,
  eventId: string,
  revision: number,
  purchases: readonly NewPurchase[],
): Promise<Date | undefined> {
  const { quantity, ticketCount, ...columns } = toColumns(purchases);
  const totals = totalsOf(purchases);
  const counted =
    totals.length === 0
      ? Prisma.empty
      : countBuyers(Prisma.sql`
          SELECT sold.id, buyer.id, buyer.quantity, sold.max_per_buyer
            FROM sold, unnest(${totals.map(([buyerId]) => buyerId)}::text[], ${totals.map(([, sum]) => sum)}::int[]) AS buyer (id, quantity)`);
  const [row] = await db.$queryRaw<Row[]>`
    WITH sold AS (
      UPDATE events
         SET available = available - ${quantity}::int, updated_at = statement_timestamp()
       WHERE id = ${eventId}::uuid AND ${mayTake(Prisma.sql`${quantity}::int`, Prisma.sql`${revision}::int`)}
      RETURNING id, hold_seconds, max_per_buyer
    ), bought AS (
      INSERT INTO purchases (${writtenColumns})
      SELECT sold.id, new.id, new.quantity, new.key, new.fingerprint, new.buyer_id, new.reference, ${timesAndStatus(Prisma.sql`sold`)}
        FROM sold, unnest(${toArray(columns.purchaseIds)}::uuid[], ${toArray(columns.quantities)}::int[], ${toArray(columns.keys)}::text[], ${toArray(columns.fingerprints)}::text[],
                          ${toArray(columns.buyerIds)}::text[], ${toArray(columns.references)}::text[])
                     AS new (id, quantity, key, fingerprint, buyer_id, reference)
      RETURNING 1
    ), ${counted}
    issued AS (
      INSERT INTO tickets (event_id, id, purchase_id)
      SELECT sold.id, new.id, new.purchase_id
        FROM sold, unnest(${toArray(columns.ticketIds)}::uuid[], ${toArray(columns.ticketPurchaseIds)}::uuid[]) AS new (id, purchase_id)
      RETURNING 1
    )
    SELECT (SELECT count(*)::int FROM sold) AS sold,
           (SELECT count(*)::int FROM bought) AS purchases,
           (SELECT count(*)::int FROM issued) AS tickets,
           ${purchaseTime} AS "createdAt"`;
  if (row?.sold === 0 && row.purchases === 0 && row.tickets === 0) return undefined;
  if (row?.sold !== 1 || row.purchases !== purchases.length || row.tickets !== ticketCount) {
    throw new Error(`expected ${String(purchases.length)} purchases with ${String(ticketCount)} tickets, wrote ${JSON.stringify(row)}`);
  }
  return row.createdAt;
}

/** What an INSERT of purchases writes: the last three of these columns are `timesAndStatus`. */
export const writtenColumns = Prisma.sql`
  event_id, id, quantity, idempotency_key, request_fingerprint, buyer_id, reference, created_at, expires_at, status`;

/**
 * The time of the purchases that a statement makes. It is cut to milliseconds, which is what the columns keep: rounded, a purchase in
 * the last half millisecond of a sale would get the time at which the sale had ended.
 */
export const purchaseTime = Prisma.sql`date_trunc('milliseconds', statement_timestamp())`;

/** By the rules of the event's row, which the statement has checked to be those that the batch was decided by. */
export function timesAndStatus(event: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`${purchaseTime}, ${purchaseTime} + make_interval(secs => ${event}.hold_seconds),
             CASE WHEN ${event}.hold_seconds IS NULL THEN 'confirmed' ELSE 'held' END::purchase_status`;
}

/**
 * Adds to the totals of the buyers, whose CHECK rejects the statement if one of them would have more than the event allows. A part of
 * the statement only if a purchase names a buyer. @param buyers event, buyer, quantity and max_per_buyer, each buyer once
 */
export function countBuyers(buyers: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`counted AS (
      INSERT INTO buyer_totals (event_id, buyer_id, quantity, quantity_max) ${buyers}
          ON CONFLICT (event_id, buyer_id)
          DO UPDATE SET quantity = buyer_totals.quantity + excluded.quantity, quantity_max = excluded.quantity_max
    ),`;
}

/** What each named buyer takes. */
export function totalsOf(purchases: readonly NewPurchase[]): [buyerId: string, quantity: number][] {
  const totals = new Map<string, number>();
  for (const { buyerId, quantity } of purchases) if (buyerId !== null) totals.set(buyerId, (totals.get(buyerId) ?? 0) + quantity);
  return [...totals];
}

/**
 * The columns of the purchases and of their tickets, as array elements, each preceded by a comma. `buyerIds` and `references` are
 * empty if no purchase has one, because `unnest` fills the shorter arrays with nulls.
 */
export function toColumns(purchases: readonly NewPurchase[]) {
  let [total, ticketCount] = [0, 0];
  let [purchaseIds, quantities, keys, fingerprints, ticketIds, ticketPurchaseIds] = ['', '', '', '', '', ''];
  for (const { id, quantity, idempotency, ticketIds: own } of purchases) {
    total += quantity;
    ticketCount += own.length;
    purchaseIds += `,${id}`;
    quantities += `,${String(quantity)}`;
    keys += `,${arrayElement(idempotency?.key)}`;
    fingerprints += `,${arrayElement(idempotency?.fingerprint)}`;
    for (const ticketId of own) {
      ticketIds += `,${ticketId}`;
      ticketPurchaseIds += `,${id}`;
    }
  }
  const optional = (column: 'buyerId' | 'reference') =>
    purchases.some((each) => each[column] !== null) ? purchases.map((each) => `,${arrayElement(each[column])}`).join('') : '';
  const [buyerIds, references] = [optional('buyerId'), optional('reference')];
  return { quantity: total, ticketCount, purchaseIds, quantities, keys, fingerprints, buyerIds, references, ticketIds, ticketPurchaseIds };
}
