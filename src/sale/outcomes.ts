/** Converts granted requests to rows, and decisions to outcomes, for the paths that write. */
import type { NewPurchase } from '../sql/recordPurchases.js';
import type { Decision } from './decide.js';
import { newId } from './ids.js';
import type { EventRequest, Outcome, Purchase, PurchaseRequest, Refusal, Rules } from './types.js';

export function isPurchase(request: EventRequest): request is PurchaseRequest {
  return request.kind === 'buy';
}

export function keysOf(requests: readonly EventRequest[]): string[] {
  return requests.flatMap((request) => (isPurchase(request) && request.idempotency ? [request.idempotency.key] : []));
}

/** The named buyers, each once. */
export function buyersOf(requests: readonly EventRequest[]): string[] {
  return [...new Set(requests.flatMap((request) => (isPurchase(request) && request.buyerId !== null ? [request.buyerId] : [])))];
}

/** The granted requests as purchases to be written. */
export function toNewPurchases(requests: readonly EventRequest[], decisions: readonly Decision[], rules: Rules): NewPurchase[] {
  const granted = requests.filter((_, index) => decisions[index]?.kind === 'grant').filter(isPurchase);
  return granted.map(({ purchaseId: id, quantity, buyerId, reference, idempotency }) => ({
    id,
    quantity,
    buyerId,
    reference,
    idempotency,
    ticketIds: rules.holdSeconds === null ? Array.from({ length: quantity }, newId) : [],
  }));
}

/** @param createdAt by the database's clock, from which a hold counts */
export function toPurchase(
  eventId: string,
  { id, quantity, buyerId, reference, ticketIds }: NewPurchase,
  { holdSeconds }: Rules,
  createdAt: Date,
): Purchase {
  return {
    id,
    eventId,
    quantity,
    status: holdSeconds === null ? 'confirmed' : 'held',
    buyerId,
    reference,
    createdAt,
    expiresAt: holdSeconds === null ? null : new Date(createdAt.getTime() + holdSeconds * 1000),
    ticketIds,
  };
}

/** @param written the purchases that this attempt wrote, by id: exactly the granted ones */
export function toOutcomes(
  requests: readonly EventRequest[],
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
        return { kind: 'granted', purchase: purchaseAt(index), replayed: false };
      case 'repeat':
        return { kind: 'granted', purchase: purchaseAt(decision.of), replayed: true };
      case 'recall':
        return { kind: 'granted', purchase: decision.purchase, replayed: !decision.own };
      case 'give back':
      case 'unchanged':
        return { kind: 'settled', purchase: decision.purchase };
      default:
        return decision satisfies Refusal;
    }
  });
  if (grants !== written.size) throw new Error(`${String(grants)} requests were granted, and ${String(written.size)} purchases written`);
  return outcomes;
}
