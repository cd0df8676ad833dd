/**
 * All rules of a sale are here and nowhere else. `decide` is pure: it does no I/O, reads no clock and makes no ids, so every
 * rule can be tested without a database. The paths differ in how they obtain the state that it decides on.
 */
import type { EventState, ExistingPurchase, Outcome, Purchase, PurchaseRequest, Refusal, Rules } from './types.js';

export type Decision =
  /** To be written by this batch. */
  | { readonly kind: 'grant' }
  /** Already written, by an earlier attempt at the same request (`own`) or by an earlier request with the same key. */
  | { readonly kind: 'recall'; readonly purchase: Purchase; readonly own: boolean }
  /** The same key was granted earlier in this batch, at this index. */
  | { readonly kind: 'repeat'; readonly of: number }
  | Refusal;

/**
 * First come, first served, to the last ticket: a request that asks for too many is refused, and a smaller one after it may
 * still be granted. A key that has a purchase gets it again whatever the rules are by then, because neither a sold-out event
 * nor a lowered limit revokes a purchase. Refusals are not stored: a key that was refused may be granted later, even in the
 * same batch.
 *
 * @param existing purchases that already exist under the requests' ids and keys
 * @returns one decision per request, in the order of the requests
 */
export function decide(event: EventState, existing: readonly ExistingPurchase[], requests: readonly PurchaseRequest[]): Decision[] {
  const byId = new Map(existing.map((found) => [found.purchase.id, found]));
  const byKey = new Map(existing.flatMap((found) => (found.idempotency ? [[found.idempotency.key, found]] : [])));
  const grantedKeys = new Map<string, number>();
  let { available } = event;

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

    const refusal = refuse(request.quantity, available, event.rules);
    if (refusal) return refusal;
    available -= request.quantity;
    if (request.idempotency) grantedKeys.set(request.idempotency.key, index);
    return { kind: 'grant' };
  });
}

function refuse(quantity: number, available: number, { maxPurchaseLimit }: Rules): Refusal | undefined {
  if (quantity > maxPurchaseLimit) return { kind: 'purchase-limit-exceeded', maxPurchaseLimit };
  if (available === 0) return { kind: 'sold-out' };
  if (quantity > available) return { kind: 'insufficient-availability', available };
  return undefined;
}

/** Whether a request was refused because too few tickets are left. Then the next batch cannot assume that enough are available. */
export function isShortage({ kind }: Outcome): boolean {
  return kind === 'sold-out' || kind === 'insufficient-availability';
}
