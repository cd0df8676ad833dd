/**
 * After the last ticket: an event that was just seen sold out most likely still is, and then nobody need wait for its lock
 * to be told so.
 */
import type { Pool } from '../db/client.js';
import { readSoldOut } from '../sql/readSoldOut.js';
import type { Outcome, PurchaseRequest } from './outcome.js';
import { BatchFault } from './sellBatch.js';

/**
 * @returns one refusal per request; undefined, and nothing happened, unless everybody is to be refused
 * @throws BatchFault; nothing happened
 */
export async function refuseAll(pool: Pool, eventId: string, requests: readonly PurchaseRequest[]): Promise<Outcome[] | undefined> {
  const keys = requests.flatMap(({ idempotency }) => (idempotency ? [idempotency.key] : []));
  try {
    const soldOut = await readSoldOut(pool.prisma, eventId, keys);
    if (!soldOut) return undefined;
    const { maxPurchaseLimit } = soldOut;
    return requests.map(({ quantity }) =>
      quantity > maxPurchaseLimit ? { kind: 'purchase-limit-exceeded', maxPurchaseLimit } : { kind: 'sold-out' },
    );
  } catch (cause) {
    throw new BatchFault(cause, 'no');
  }
}
