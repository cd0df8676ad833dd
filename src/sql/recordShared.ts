import type { Queryable } from '../db/client.js';
import { type NewPurchase, toArray, toColumns } from './recordPurchases.js';

/** What one event sells. */
export interface EventPurchases {
  readonly eventId: string;
  readonly purchases: readonly NewPurchase[];
}

interface Row {
  /** With a comma between them; null if none sold. */
  soldEventIds: string | null;
  purchases: number;
  tickets: number;
  createdAt: Date;
}

/**
 * `recordPurchases` for several events in one statement: for each, all of it or nothing. With a hundred events on sale, it is
 * the number of statements that costs, not what they write.
 *
 * The rows are locked first, in the order of their ids: two replicas that sell the same events wait for one another and
 * never in a circle. The UPDATE looks at the newest versions of the rows that it changes, as it does without that
 * lock. (SKIP LOCKED instead would never wait; but then two replicas with the same events keep skipping each other's.)
 *
 * @returns for each event that sold, the time of its purchases, by the database's clock; nothing happened to the others
 * @throws a unique violation in any of them, and whatever the database throws; nothing happened
 */
export async function recordShared(db: Queryable, batches: readonly EventPurchases[]): Promise<ReadonlyMap<string, Date>> {
  const columns = batches.map(({ purchases }) => toColumns(purchases));
  const all = (pick: (of: (typeof columns)[number]) => string) => toArray(columns.map(pick).join(''));
  const eventIds = toArray(batches.map(({ eventId }) => `,${eventId}`).join(''));
  const purchaseEventIds = toArray(batches.map(({ eventId, purchases }) => `,${eventId}`.repeat(purchases.length)).join(''));
  const ticketEventIds = toArray(batches.map(({ eventId }, index) => `,${eventId}`.repeat(columns[index]?.ticketCount ?? 0)).join(''));
  const [row] = await db.$queryRaw<Row[]>`
    WITH locked AS MATERIALIZED (
      SELECT events.id, wanted.tickets, wanted.largest
        FROM events, unnest(${eventIds}::uuid[], ${all((of) => `,${String(of.ticketCount)}`)}::int[], ${all((of) => `,${String(of.largest)}`)}::int[])
                       AS wanted (event_id, tickets, largest)
       WHERE events.id = wanted.event_id
       ORDER BY events.id
         FOR NO KEY UPDATE OF events
    ), sold AS (
      UPDATE events
         SET available = available - locked.tickets, updated_at = statement_timestamp()
        FROM locked
       WHERE events.id = locked.id AND available >= locked.tickets AND max_purchase_limit >= locked.largest
      RETURNING events.id
    ), bought AS (
      INSERT INTO purchases (event_id, id, quantity, idempotency_key, request_fingerprint, created_at)
      SELECT sold.id, new.id, new.quantity, new.key, new.fingerprint, statement_timestamp()
        FROM sold, unnest(${purchaseEventIds}::uuid[], ${all((of) => of.purchaseIds)}::uuid[], ${all((of) => of.quantities)}::int[],
                          ${all((of) => of.keys)}::text[], ${all((of) => of.fingerprints)}::text[])
                     AS new (event_id, id, quantity, key, fingerprint)
       WHERE new.event_id = sold.id
      RETURNING 1
    ), issued AS (
      INSERT INTO tickets (event_id, id, purchase_id)
      SELECT sold.id, new.id, new.purchase_id
        FROM sold, unnest(${ticketEventIds}::uuid[], ${all((of) => of.ticketIds)}::uuid[], ${all((of) => of.ticketPurchaseIds)}::uuid[])
                     AS new (event_id, id, purchase_id)
       WHERE new.event_id = sold.id
      RETURNING 1
    )
    SELECT (SELECT string_agg(id::text, ',') FROM sold) AS "soldEventIds",
           (SELECT count(*)::int FROM bought) AS purchases,
           (SELECT count(*)::int FROM issued) AS tickets,
           statement_timestamp()::timestamptz(3) AS "createdAt"`;
  if (!row) throw new Error('no answer');
  const sold = new Map(row.soldEventIds?.split(',').map((eventId) => [eventId, row.createdAt]));
  const meant = batches.map(({ eventId, purchases }, index) =>
    sold.has(eventId) ? { purchases: purchases.length, tickets: columns[index]?.ticketCount ?? 0 } : { purchases: 0, tickets: 0 },
  );
  const purchases = meant.reduce((sum, of) => sum + of.purchases, 0);
  const tickets = meant.reduce((sum, of) => sum + of.tickets, 0);
  if (row.purchases !== purchases || row.tickets !== tickets) {
    throw new Error(`meant ${String(purchases)} purchases of ${String(tickets)} tickets, wrote ${JSON.stringify(row)}`);
  }
  return sold;
}
