/** What the tests of `decide` decide on: events, requests and purchases, made in few words. */
import type { Decision } from '../../src/sale/decide.js';
import type {
  EventState,
  ExistingPurchase,
  GiveBackRequest,
  Phase,
  Purchase,
  PurchaseRequest,
  PurchaseStatus,
  RuleValues,
} from '../../src/sale/types.js';
import { noRules } from '../support/sales.js';

let made = 0;

/** A request to buy. @param named whatever differs from a request of nobody */
export function ask(quantity: number, key?: string, named: Partial<PurchaseRequest> = {}): PurchaseRequest {
  return {
    kind: 'buy',
    purchaseId: `purchase-${String((made += 1))}`,
    quantity,
    buyerId: null,
    reference: null,
    idempotency: key === undefined ? null : { key, fingerprint: `{"quantity":${String(quantity)}}` },
    asBuyer: undefined,
    ...named,
  };
}

export const askAs = (buyerId: string, quantity: number, key?: string) => ask(quantity, key, { buyerId });

/** The purchase that a request got. */
export function bought(request: PurchaseRequest, status: PurchaseStatus = 'confirmed'): ExistingPurchase {
  const { purchaseId: id, quantity, buyerId, idempotency } = request;
  const expiresAt = status === 'confirmed' ? null : new Date(1);
  return {
    purchase: { id, eventId: 'event', quantity, status, buyerId, reference: null, createdAt: new Date(0), expiresAt, ticketIds: [] },
    idempotency,
  };
}

export function giveBack(kind: GiveBackRequest['kind'], { purchase }: ExistingPurchase, asBuyer?: string): GiveBackRequest {
  return { kind, purchaseId: purchase.id, asBuyer };
}
export const release = (existing: ExistingPurchase, asBuyer?: string) => giveBack('release', existing, asBuyer);
export const cancel = (existing: ExistingPurchase) => giveBack('cancel', existing);

export const as = ({ purchase }: ExistingPurchase, status: PurchaseStatus): Purchase => ({ ...purchase, status });

interface Given extends Partial<RuleValues> {
  readonly held?: number;
  readonly phase?: Phase;
  readonly startsInSeconds?: number;
  readonly totals?: Readonly<Record<string, number>>;
}

/** An event on sale, unless it is said otherwise. */
export function event(available: number, given: Given = {}): EventState {
  const { held = 0, phase = 'open', startsInSeconds = null, totals = {}, ...rules } = given;
  return {
    available,
    held,
    phase,
    startsInSeconds,
    rules: { ...noRules, maxPurchaseLimit: 10, ...rules, revision: 1 },
    buyerTotals: new Map(Object.entries(totals)),
  };
}

export const kinds = (decisions: readonly Decision[]) => decisions.map((decision) => decision.kind);
