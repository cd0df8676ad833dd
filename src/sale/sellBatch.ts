/**
 * The careful path, for any batch of one event, in one transaction: lock, recall, decide, write, assert. Most batches need
 * less, because everybody in them can have what he asks for: sellStraight.ts.
 */
import type { Pool, Queryable } from '../db/client.js';
import { lockEvent } from '../sql/lockEvent.js';
import type { Purchase } from '../sql/readPurchase.js';
import { recallPurchases } from '../sql/recallPurchases.js';
import { type NewPurchase, recordPurchases } from '../sql/recordPurchases.js';
import { allocate, type Decision } from './allocate.js';
import { newId } from './ids.js';
import { impossible, type Outcome, type PurchaseRequest } from './outcome.js';

/**
 * A batch that threw. Did it happen? `no`: nothing was committed. `perhaps`: its COMMIT was sent, under the row lock.
 * `perhaps later`: it was sent without the lock, and may even arrive after the next attempt.
 */
export class BatchFault extends Error {
  override readonly name = 'BatchFault';

  constructor(
    cause: unknown,
    readonly happened: 'no' | 'perhaps' | 'perhaps later',
  ) {
    super('a batch did not come to its end', { cause });
  }
}

/**
 * Idempotent: the same requests again give the same purchases, whatever became of an earlier attempt. The row lock is the
 * barrier: an earlier attempt of this kind whose COMMIT was sent holds it until it has ended. So once the lock is ours, that
 * attempt has either happened, and is recalled, or never will. (For one of the straight kind see resolve.ts, `isConclusive`.)
 *
 * @returns one outcome per request, in order; true once returned, and durable
 * @throws BatchFault
 */
export async function sellBatch(pool: Pool, eventId: string, requests: readonly PurchaseRequest[]): Promise<Outcome[]> {
  const ids = requests.map((request) => request.purchaseId);
  const keys = requests.flatMap(({ idempotency }) => (idempotency ? [idempotency.key] : []));
  let commitSent = false as boolean; // set inside the callback, where the compiler does not look
  try {
    return await pool.prisma.$transaction(async (tx) => {
      const event = await lockEvent(tx, eventId);
      if (!event) return requests.map(() => ({ kind: 'event-not-found' }));
      const recalled = await recallPurchases(tx, eventId, ids, keys);
      const decisions = allocate(event, recalled, requests);
      const written = await write(tx, eventId, requests, decisions);
      commitSent = true;
      return toOutcomes(decisions, written);
    }, pool.transaction);
  } catch (cause) {
    throw new BatchFault(cause, commitSent ? 'perhaps' : 'no');
  }
}

/** Writes what was granted. @returns the purchases by their index in the batch */
async function write(
  tx: Queryable,
  eventId: string,
  requests: readonly PurchaseRequest[],
  decisions: readonly Decision[],
): Promise<Map<number, Purchase>> {
  const granted = requests.flatMap((request, index) =>
    decisions[index]?.kind === 'grant' ? [{ index, purchase: toNewPurchase(request) }] : [],
  );
  if (granted.length === 0) return new Map();
  const createdAt = await recordPurchases(
    tx,
    eventId,
    granted.map(({ purchase }) => purchase),
  );
  if (!createdAt) throw new Error('under the lock, the event no longer had what was granted');
  return new Map(granted.map(({ index, purchase }) => [index, toPurchase(eventId, purchase, createdAt)]));
}

export function toNewPurchase({ purchaseId: id, quantity, idempotency }: PurchaseRequest): NewPurchase {
  return { id, quantity, idempotency, ticketIds: Array.from({ length: quantity }, newId) };
}

export function toPurchase(eventId: string, { id, quantity, ticketIds }: NewPurchase, createdAt: Date): Purchase {
  return { id, eventId, quantity, createdAt, ticketIds };
}

function toOutcomes(decisions: readonly Decision[], written: ReadonlyMap<number, Purchase>): Outcome[] {
  const purchaseAt = (index: number): Purchase => {
    const purchase = written.get(index);
    if (!purchase) throw new Error(`request ${String(index)} was granted and not written`);
    return purchase;
  };
  return decisions.map((decision, index): Outcome => {
    switch (decision.kind) {
      case 'grant':
        return { kind: 'sold', purchase: purchaseAt(index), replayed: false };
      case 'repeat':
        return { kind: 'sold', purchase: purchaseAt(decision.of), replayed: true };
      case 'recall':
        return { kind: 'sold', purchase: decision.purchase, replayed: !decision.own };
      case 'event-not-found':
      case 'sold-out':
      case 'insufficient-availability':
      case 'purchase-limit-exceeded':
      case 'idempotency-key-reused':
        return decision;
      default:
        return impossible(decision);
    }
  });
}
