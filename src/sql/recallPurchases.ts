import type { Queryable } from '../db/client.js';
import type { Purchase } from './readPurchase.js';

/** The caller's key, and the canonical form of the body that it stands for. */
export interface Idempotency {
  readonly key: string;
  readonly fingerprint: string;
}

export interface RecalledPurchase {
  readonly purchase: Purchase;
  readonly idempotency: Idempotency | null;
}

interface Row {
  id: string;
  quantity: number;
  key: string | null;
  fingerprint: string | null;
  createdAt: Date;
  ticketIds: string[];
}

/**
 * The purchases that exist already under these ids or keys, with their tickets.
 *
 * Its own statement, after the lock was taken: only then does its snapshot include what the last holder of the lock
 * committed. Two branches instead of one OR, so that each uses its index.
 */
export async function recallPurchases(
  tx: Queryable,
  eventId: string,
  ids: readonly string[],
  keys: readonly string[],
): Promise<RecalledPurchase[]> {
  const rows = await tx.$queryRaw<Row[]>`
    WITH found AS (
      SELECT id, quantity, idempotency_key, request_fingerprint, created_at
        FROM purchases
       WHERE event_id = ${eventId}::uuid AND id = ANY (${ids}::uuid[])
       UNION
      SELECT id, quantity, idempotency_key, request_fingerprint, created_at
        FROM purchases
       WHERE event_id = ${eventId}::uuid AND idempotency_key = ANY (${keys}::text[])
    )
    SELECT id, quantity, idempotency_key AS "key", request_fingerprint AS "fingerprint", created_at AS "createdAt",
           ARRAY (SELECT t.id::text
                    FROM tickets t
                   WHERE t.event_id = ${eventId}::uuid AND t.purchase_id = found.id
                   ORDER BY t.id) AS "ticketIds"
      FROM found`;
  return rows.map(({ key, fingerprint, ...purchase }) => ({
    purchase: { ...purchase, eventId },
    idempotency: key === null || fingerprint === null ? null : { key, fingerprint },
  }));
}
