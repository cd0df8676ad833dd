/**
 * The rules of a sale, all of them and only here. `decide` is pure: it does no I/O, reads no clock and makes no ids, so every
 * rule can be tested without a database. The paths differ in how they know the state that it decides on.
 */
import type { EventState, ExistingPurchase, Outcome, Purchase, PurchaseRequest, Refusal, Rules } from './types.js';

export type Decision =
  /** To be written by this batch. */
  | { readonly kind: 'grant' }
  /** Written already: by an earlier attempt at this very request (`own`), or by an earlier request with its key. */
  | { readonly kind: 'recall'; readonly purchase: Purchase; readonly own: boolean }
  /** The same key was granted earlier in this batch, at this index. */
  | { readonly kind: 'repeat'; readonly of: number }
  | Refusal;

/**
 * First come, first served, to the last ticket: a request that does not fit is refused, and a smaller one behind it may
 * still be granted. A key that bought before gets its purchase again whatever the rules say by then, because neither a
 * sold-out event nor a lowered limit takes a purchase back. Refusals are not remembered: a key that was refused may be
 * granted later, even later in the same batch.
 *
 * @param existing the purchases that the requests' ids and keys already have
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

/** Was this refused for want of tickets? Where one request was, the next batch cannot suppose that enough is available. */
export function isShortage({ kind }: Outcome): boolean {
  return kind === 'sold-out' || kind === 'insufficient-availability';
}
