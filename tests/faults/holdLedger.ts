/** What the database has of events that sell holds: read from its tables in one snapshot, with the time of its clock. */
import type pg from 'pg';
import type { Status } from './transitions.js';

export interface BookedHold {
  readonly eventId: string;
  readonly id: string;
  readonly key: string | null;
  readonly quantity: number;
  /** As written. */
  readonly status: Status;
  readonly buyerId: string | null;
  /** Whether its time is over, by the clock of the database; a hold without a time is never over. */
  readonly isOver: boolean;
  /** On the clock of `performance.now()`; null if it never was a hold. */
  readonly expiresAtMs: number | null;
  readonly ticketIds: readonly string[];
}

export interface HoldEvent {
  readonly id: string;
  readonly quota: number;
  readonly available: number;
  readonly maxPerBuyer: number | null;
}

export interface BookedTotal {
  readonly eventId: string;
  readonly buyerId: string;
  readonly quantity: number;
}

export interface HoldLedger {
  readonly events: readonly HoldEvent[];
  readonly purchases: readonly BookedHold[];
  readonly totals: readonly BookedTotal[];
}

/** A hold whose time is over has expired, whether or not it is marked as such. */
export function statusOf({ status, isOver }: BookedHold): Status {
  return status === 'held' && isOver ? 'expired' : status;
}

export async function readHoldLedger(client: pg.Client, eventIds: readonly string[]): Promise<HoldLedger> {
  const { rows } = await client.query<{ ledger: HoldLedger }>(
    `SELECT jsonb_build_object(
       'events', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'quota', total_quota, 'available', available, 'maxPerBuyer', max_per_buyer)), '[]')
                    FROM events WHERE id = ANY ($1::uuid[])),
       'purchases', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                              'eventId', p.event_id, 'id', p.id, 'key', p.idempotency_key, 'quantity', p.quantity, 'status', p.status,
                              'buyerId', p.buyer_id, 'isOver', coalesce(p.expires_at <= statement_timestamp(), false),
                              'expiresAtMs', extract(epoch FROM p.expires_at) * 1000 - $2::float8,
                              'ticketIds', (SELECT coalesce(jsonb_agg(t.id ORDER BY t.id), '[]') FROM tickets t
                                             WHERE t.event_id = p.event_id AND t.purchase_id = p.id))), '[]')
                       FROM purchases p WHERE p.event_id = ANY ($1::uuid[])),
       'totals', (SELECT coalesce(jsonb_agg(jsonb_build_object('eventId', event_id, 'buyerId', buyer_id, 'quantity', quantity)), '[]')
                    FROM buyer_totals WHERE event_id = ANY ($1::uuid[]))) AS ledger`,
    [eventIds, performance.timeOrigin],
  );
  return rows[0]!.ledger;
}
