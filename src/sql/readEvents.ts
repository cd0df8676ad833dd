import type { PrismaClient } from '../db/client.js';

/** An event as the API shows it. */
export interface EventRow {
  readonly id: string;
  readonly name: string;
  readonly totalQuota: number;
  readonly available: number;
  readonly maxPurchaseLimit: number;
  readonly revision: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/**
 * The events that exist among `ids`, in no order, as committed when the query starts. Takes no lock: readers never wait
 * for a sale, nor a sale for them.
 */
export async function readEvents(db: Pick<PrismaClient, '$queryRaw'>, ids: readonly string[]): Promise<EventRow[]> {
  return db.$queryRaw<EventRow[]>`
    SELECT id, name, total_quota AS "totalQuota", available, max_purchase_limit AS "maxPurchaseLimit", revision,
           created_at AS "createdAt", updated_at AS "updatedAt"
      FROM events
     WHERE id = ANY (${ids}::uuid[])`;
}
