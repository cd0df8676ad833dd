/** What the database has: read from its tables, not through the API, in one snapshot. */
import type pg from 'pg';

export interface BookedEvent {
  readonly id: string;
  readonly quota: number;
  readonly available: number;
}

export interface BookedPurchase {
  readonly eventId: string;
  readonly id: string;
  readonly key: string | null;
  readonly quantity: number;
  /** In the order of the ids. */
  readonly ticketIds: readonly string[];
}

export interface Ledger {
  readonly events: readonly BookedEvent[];
  readonly purchases: readonly BookedPurchase[];
  /** Tickets of no purchase. */
  readonly orphans: number;
}

/** Everything of these events. */
export async function readLedger(client: pg.Client, eventIds: readonly string[]): Promise<Ledger> {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY');
  const { rows: events } = await client.query<BookedEvent>(
    'SELECT id, total_quota AS quota, available FROM events WHERE id = ANY ($1::uuid[])',
    [eventIds],
  );
  const { rows: purchases } = await client.query<Omit<BookedPurchase, 'ticketIds'>>(
    'SELECT event_id AS "eventId", id, idempotency_key AS key, quantity FROM purchases WHERE event_id = ANY ($1::uuid[])',
    [eventIds],
  );
  const { rows: tickets } = await client.query<{ purchase: string; id: string }>(
    'SELECT event_id || purchase_id::text AS purchase, id::text FROM tickets WHERE event_id = ANY ($1::uuid[]) ORDER BY id',
    [eventIds],
  );
  await client.query('COMMIT');
  const ticketsOf = new Map(purchases.map(({ eventId, id }) => [eventId + id, [] as string[]]));
  let orphans = 0;
  for (const { purchase, id } of tickets) {
    const own = ticketsOf.get(purchase);
    if (own) own.push(id);
    else orphans += 1;
  }
  return {
    events,
    purchases: purchases.map((purchase) => ({ ...purchase, ticketIds: ticketsOf.get(purchase.eventId + purchase.id)! })),
    orphans,
  };
}
