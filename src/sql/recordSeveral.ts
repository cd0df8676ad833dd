import type { Queryable } from '../db/client.js';
import { Prisma } from '../generated/prisma/client.js';
import { toArray } from './arrayLiteral.js';
import { mayTake } from './eventColumns.js';
import { countBuyers, type NewPurchase, purchaseTime, timesAndStatus, toColumns, totalsOf, writtenColumns } from './recordPurchases.js';

/** What one event sells, by the rules of a revision. */
export interface EventPurchases {
  readonly eventId: string;
  readonly revision: number;
  readonly purchases: readonly NewPurchase[];
}

interface Row {
  /** Separated by commas; null if no event sold. */
  soldEventIds: string | null;
  purchases: number;
  tickets: number;
  createdAt: Date;
}

/**
 * `recordPurchases` for several events in one statement. For each event it writes everything or nothing. With a hundred events
 * on sale, the cost is in the number of statements, not in what they write.
 *
 * It could serve one event too, but costs a third more of Postgres's processor time there (128 purchases: 1.52 ms against 1.18;
 * one purchase: 0.36 against 0.12), because it locks the rows before it updates them.
 *
 * The rows are locked in the order of their ids, so that two replicas that sell the same events wait for each other and never
 * deadlock. The UPDATE sees the newest versions of its rows. (With SKIP LOCKED no statement would wait, but two replicas with the
 * same events would keep skipping each other's.)
 *
 * @returns the time of the purchases by the database's clock, for each event that sold; nothing happened to the other events
 * @throws a unique violation in any of them, and whatever the database throws; nothing happened
 */
export async function recordSeveral(db: Queryable, batches: readonly EventPurchases[]): Promise<ReadonlyMap<string, Date>> {
  const columns = batches.map(({ purchases }) => toColumns(purchases));
  const all = (pick: (of: (typeof columns)[number], index: number) => string) => toArray(columns.map(pick).join(''));
  const eventOf = (index: number) => `,${batches[index]?.eventId ?? ''}`;
  const optional = optionalColumn(batches, columns);
  const totals = batches.flatMap(({ eventId, purchases }) =>
    totalsOf(purchases).map(([buyerId, quantity]) => ({ eventId, buyerId, quantity })),
  );
  const counted =
    totals.length === 0
      ? Prisma.empty
      : countBuyers(Prisma.sql`
          SELECT sold.id, buyer.id, buyer.quantity, sold.max_per_buyer
            FROM sold, unnest(${totals.map(({ eventId }) => eventId)}::uuid[], ${totals.map(({ buyerId }) => buyerId)}::text[],
                              ${totals.map(({ quantity }) => quantity)}::int[]) AS buyer (event_id, id, quantity)
           WHERE buyer.event_id = sold.id`);
  const [row] = await db.$queryRaw<Row[]>`
    WITH locked AS MATERIALIZED (
      SELECT events.id, batch.revision, batch.tickets
        FROM events, unnest(${all((_, index) => eventOf(index))}::uuid[], ${all((_, index) => `,${String(batches[index]?.revision)}`)}::int[],
                            ${all((of) => `,${String(of.quantity)}`)}::int[]) AS batch (event_id, revision, tickets)
       WHERE events.id = batch.event_id
       ORDER BY events.id
         FOR NO KEY UPDATE OF events
    ), sold AS (
      UPDATE events
         SET available = available - locked.tickets, updated_at = statement_timestamp()
        FROM locked
       WHERE events.id = locked.id AND ${mayTake(Prisma.sql`locked.tickets`, Prisma.sql`locked.revision`)}
      RETURNING events.id, events.hold_seconds, events.max_per_buyer
    ), bought AS (
      INSERT INTO purchases (${writtenColumns})
      SELECT sold.id, new.id, new.quantity, new.key, new.fingerprint, new.buyer_id, new.reference, ${timesAndStatus(Prisma.sql`sold`)}
        FROM sold, unnest(${all((_, index) => eventOf(index).repeat(batches[index]?.purchases.length ?? 0))}::uuid[],
                          ${all((of) => of.purchaseIds)}::uuid[], ${all((of) => of.quantities)}::int[],
                          ${all((of) => of.keys)}::text[], ${all((of) => of.fingerprints)}::text[],
                          ${optional('buyerIds')}::text[], ${optional('references')}::text[])
                     AS new (event_id, id, quantity, key, fingerprint, buyer_id, reference)
       WHERE new.event_id = sold.id
      RETURNING 1
    ), ${counted}
    issued AS (
      INSERT INTO tickets (event_id, id, purchase_id)
      SELECT sold.id, new.id, new.purchase_id
        FROM sold, unnest(${all((of, index) => eventOf(index).repeat(of.ticketCount))}::uuid[],
                          ${all((of) => of.ticketIds)}::uuid[], ${all((of) => of.ticketPurchaseIds)}::uuid[])
                     AS new (event_id, id, purchase_id)
       WHERE new.event_id = sold.id
      RETURNING 1
    )
    SELECT (SELECT string_agg(id::text, ',') FROM sold) AS "soldEventIds",
           (SELECT count(*)::int FROM bought) AS purchases,
           (SELECT count(*)::int FROM issued) AS tickets,
           ${purchaseTime} AS "createdAt"`;
  if (!row) throw new Error('a statement that always returns a row returned none');
  const sold = new Map(row.soldEventIds?.split(',').map((eventId) => [eventId, row.createdAt]));
  let [purchaseCount, ticketCount] = [0, 0];
  for (const [index, { eventId, purchases }] of batches.entries()) {
    if (!sold.has(eventId)) continue;
    purchaseCount += purchases.length;
    ticketCount += columns[index]?.ticketCount ?? 0;
  }
  if (row.purchases !== purchaseCount || row.tickets !== ticketCount) {
    throw new Error(`meant ${String(purchaseCount)} purchases of ${String(ticketCount)} tickets, wrote ${JSON.stringify(row)}`);
  }
  return sold;
}

/** A column of all batches that is empty if no purchase has a value. Batches without one contribute as many nulls as purchases. */
export function optionalColumn(batches: readonly EventPurchases[], columns: readonly ReturnType<typeof toColumns>[]) {
  return (name: 'buyerIds' | 'references'): string => {
    if (columns.every((of) => of[name] === '')) return '{}';
    return toArray(columns.map((of, index) => of[name] || ',NULL'.repeat(batches[index]?.purchases.length ?? 0)).join(''));
  };
}
