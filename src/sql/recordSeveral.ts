import type { Queryable } from '../db/client.js';
import { Prisma } from '../generated/prisma/client.js';
import { mayTake } from './eventColumns.js';
import { type NewPurchase, toArray, toColumns } from './recordPurchases.js';

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
  const [row] = await db.$queryRaw<Row[]>`
    WITH locked AS MATERIALIZED (
      SELECT events.id, batch.revision, batch.tickets
        FROM events, unnest(${all((_, index) => eventOf(index))}::uuid[], ${all((_, index) => `,${String(batches[index]?.revision)}`)}::int[],
                            ${all((of) => `,${String(of.ticketCount)}`)}::int[]) AS batch (event_id, revision, tickets)
       WHERE events.id = batch.event_id
       ORDER BY events.id
         FOR NO KEY UPDATE OF events
    ), sold AS (
      UPDATE events
         SET available = available - locked.tickets, updated_at = statement_timestamp()
        FROM locked
       WHERE events.id = locked.id AND ${mayTake(Prisma.sql`locked.tickets`, Prisma.sql`locked.revision`)}
      RETURNING events.id
    ), bought AS (
      INSERT INTO purchases (event_id, id, quantity, idempotency_key, request_fingerprint, created_at)
      SELECT sold.id, new.id, new.quantity, new.key, new.fingerprint, statement_timestamp()
        FROM sold, unnest(${all((_, index) => eventOf(index).repeat(batches[index]?.purchases.length ?? 0))}::uuid[],
                          ${all((of) => of.purchaseIds)}::uuid[], ${all((of) => of.quantities)}::int[],
                          ${all((of) => of.keys)}::text[], ${all((of) => of.fingerprints)}::text[])
                     AS new (event_id, id, quantity, key, fingerprint)
       WHERE new.event_id = sold.id
      RETURNING 1
    ), issued AS (
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
           statement_timestamp()::timestamptz(3) AS "createdAt"`;
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
