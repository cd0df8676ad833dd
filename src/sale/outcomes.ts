/** Converts granted requests to rows, and rows to outcomes, for the paths that write. */
import type { NewPurchase } from '../sql/recordPurchases.js';
import type { Decision } from './decide.js';
import { newId } from './ids.js';
import type { Outcome, Purchase, PurchaseRequest, Refusal } from './types.js';

export function keysOf(requests: readonly PurchaseRequest[]): string[] {
  return requests.flatMap(({ idempotency }) => (idempotency ? [idempotency.key] : []));
}

export function toNewPurchase({ purchaseId: id, quantity, idempotency }: PurchaseRequest): NewPurchase {
  return { id, quantity, idempotency, ticketIds: Array.from({ length: quantity }, newId) };
}

export function toPurchase(eventId: string, { id, quantity, ticketIds }: NewPurchase, createdAt: Date): Purchase {
  return { id, eventId, quantity, createdAt, ticketIds };
}

/** @param written the purchases that this attempt wrote, by id: exactly the granted ones */
export function toOutcomes(
  requests: readonly PurchaseRequest[],
  decisions: readonly Decision[],
  written: ReadonlyMap<string, Purchase>,
): Outcome[] {
  const purchaseAt = (index: number): Purchase => {
    const purchase = written.get(requests[index]?.purchaseId ?? '');
    if (!purchase) throw new Error(`request ${String(index)} was granted but not written`);
    return purchase;
  };
  let grants = 0;
  const outcomes = decisions.map((decision, index): Outcome => {
    switch (decision.kind) {
      case 'grant':
        grants += 1;
        return { kind: 'sold', purchase: purchaseAt(index), replayed: false };
      case 'repeat':
        return { kind: 'sold', purchase: purchaseAt(decision.of), replayed: true };
      case 'recall':
        return { kind: 'sold', purchase: decision.purchase, replayed: !decision.own };
      default:
        return decision satisfies Refusal;
    }
  });
  if (grants !== written.size) throw new Error(`${String(grants)} requests were granted, and ${String(written.size)} purchases written`);
  return outcomes;
}
