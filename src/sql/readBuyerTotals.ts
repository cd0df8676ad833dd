import type { Queryable } from '../db/client.js';

/**
 * The tickets that these buyers hold or have bought. Expired holds count until a statement has marked them as expired (expireHolds.ts).
 *
 * @returns by buyer; who has none may be missing
 */
export async function readBuyerTotals(db: Queryable, eventId: string, buyerIds: readonly string[]): Promise<Map<string, number>> {
  const rows = await db.$queryRaw<{ buyerId: string; quantity: number }[]>`
    SELECT t.buyer_id AS "buyerId", t.quantity
      FROM buyer_totals t
     WHERE t.event_id = ${eventId}::uuid AND t.buyer_id = ANY (${buyerIds}::text[])`;
  return new Map(rows.map(({ buyerId, quantity }) => [buyerId, quantity]));
}
