/**
 * Dividing what is available among a batch. Pure: no I/O, no clock, and no ids are made here, so that every rule of
 * the sale can be tested without a database.
 */
import type { LockedEvent } from '../sql/lockEvent.js';
import type { Purchase } from '../sql/readPurchase.js';
import type { RecalledPurchase } from '../sql/recallPurchases.js';
import type { PurchaseRequest, Refusal } from './outcome.js';

export type Decision =
  /** To be written by this batch. */
  | { readonly kind: 'grant' }
  /** Written by an earlier attempt of this very request (`own`), or by an earlier request with its key. */
  | { readonly kind: 'recall'; readonly purchase: Purchase; readonly own: boolean }
  /** The same key was granted earlier in this batch, at this index. */
  | { readonly kind: 'repeat'; readonly of: number }
  | Refusal;

/**
 * First come, first served, to the last ticket: a request that does not fit is refused, and a smaller one behind it may
 * still be served. What a key bought before is given again before any other rule is looked at, because neither a sold-out
 * event nor a lowered limit takes a purchase back. Refusals are not remembered: a key that was refused may be granted
 * later, also later in the same batch.
 *
 * @returns one decision per request, in the order of the requests
 */
export function allocate(event: LockedEvent, recalled: readonly RecalledPurchase[], requests: readonly PurchaseRequest[]): Decision[] {
  const byId = new Map(recalled.map((found) => [found.purchase.id, found]));
  const byKey = new Map(recalled.flatMap((found) => (found.idempotency ? [[found.idempotency.key, found]] : [])));
  const grantedKeys = new Map<string, number>();
  let available = event.available;

  return requests.map((request, index) => {
    const own = byId.get(request.purchaseId);
    if (own) return { kind: 'recall', purchase: own.purchase, own: true };

    if (request.idempotency) {
      const { key, fingerprint } = request.idempotency;
      const earlier = byKey.get(key);
      if (earlier) {
        if (earlier.idempotency?.fingerprint !== fingerprint) return { kind: 'idempotency-key-reused' };
        return { kind: 'recall', purchase: earlier.purchase, own: false };
      }
      const of = grantedKeys.get(key);
      if (of !== undefined) {
        if (requests[of]?.idempotency?.fingerprint !== fingerprint) return { kind: 'idempotency-key-reused' };
        return { kind: 'repeat', of };
      }
    }

    const refusal = refuse(request.quantity, available, event.maxPurchaseLimit);
    if (refusal) return refusal;
    available -= request.quantity;
    if (request.idempotency) grantedKeys.set(request.idempotency.key, index);
    return { kind: 'grant' };
  });
}

function refuse(quantity: number, available: number, maxPurchaseLimit: number): Refusal | undefined {
  if (quantity > maxPurchaseLimit) return { kind: 'purchase-limit-exceeded', maxPurchaseLimit };
  if (available === 0) return { kind: 'sold-out' };
  if (quantity > available) return { kind: 'insufficient-availability', available };
  return undefined;
}
