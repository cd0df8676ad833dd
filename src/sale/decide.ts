/**
 * All rules of a sale are here and nowhere else. `decide` is pure: it does no I/O, reads no clock and makes no ids, so every
 * rule can be tested without a database. The paths differ in how they obtain the state that it decides on.
 */
import {
  type AsBuyer,
  type EventRequest,
  type EventState,
  type ExistingPurchase,
  type GiveBackRequest,
  impossible,
  type Outcome,
  type Purchase,
  type PurchaseRequest,
  type PurchaseStatus,
  type Refusal,
} from './types.js';

export type Decision =
  /** To be written by this batch. */
  | { readonly kind: 'grant' }
  /** Already written, by an earlier attempt at the same request (`own`) or by an earlier request with the same key. */
  | { readonly kind: 'recall'; readonly purchase: Purchase; readonly own: boolean }
  /** The same key was granted earlier in this batch, at this index. */
  | { readonly kind: 'repeat'; readonly of: number }
  /** To be given back by this batch; the purchase as it is afterwards. */
  | { readonly kind: 'give back'; readonly purchase: Purchase }
  /** Given back before, or expired. */
  | { readonly kind: 'unchanged'; readonly purchase: Purchase }
  | Refusal;

/**
 * First come, first served, to the last ticket: a request that asks for too many is refused, and a smaller one after it may
 * still be granted. A key that has a purchase gets it again whatever the rules are by then, because neither a sold-out event
 * nor a changed rule revokes a purchase. A purchase that has given back what it took keeps its key: it is returned as it is, and
 * nothing is bought in its place. Refusals are not stored: a key that was refused may be granted later, even in the
 * same batch.
 *
 * @param existing purchases that already exist under the requests' ids and keys
 * @returns one decision per request, in the order of the requests
 */
export function decide(event: EventState, existing: readonly ExistingPurchase[], requests: readonly EventRequest[]): Decision[] {
  const batch = new Deciding(event, existing);
  return requests.map((request, index) => (request.kind === 'buy' ? batch.buy(request, index) : batch.giveBack(request)));
}

/** The state of the event after the decisions made so far. */
class Deciding {
  readonly #event: EventState;
  readonly #byId: Map<string, ExistingPurchase>;
  readonly #byKey: Map<string, ExistingPurchase>;
  readonly #granted = new Map<string, { readonly request: PurchaseRequest; readonly index: number }>();
  readonly #givenBack = new Map<string, Purchase>();
  readonly #totals: Map<string, number>;
  #available: number;
  #held: number;

  constructor(event: EventState, existing: readonly ExistingPurchase[]) {
    this.#event = event;
    this.#available = event.available;
    this.#held = event.held;
    this.#totals = new Map(event.buyerTotals);
    this.#byId = new Map(existing.map((found) => [found.purchase.id, found]));
    this.#byKey = new Map(existing.flatMap((found) => (found.idempotency ? [[found.idempotency.key, found]] : [])));
  }

  buy(request: PurchaseRequest, index: number): Decision {
    const own = this.#byId.get(request.purchaseId);
    if (own) return { kind: 'recall', purchase: this.#now(own.purchase), own: true };
    const earlier = this.#sameKey(request);
    if (earlier) return earlier;
    const refusal = refuse(request, this.#event, { available: this.#available, held: this.#held, total: this.#totalOf(request.buyerId) });
    if (refusal) return refusal;
    this.#take(request.buyerId, request.quantity, this.#event.rules.holdSeconds !== null);
    if (request.idempotency) this.#granted.set(request.idempotency.key, { request, index });
    return { kind: 'grant' };
  }

  giveBack({ kind, purchaseId, asBuyer }: GiveBackRequest): Decision {
    const found = this.#byId.get(purchaseId);
    if (!found || isHidden(found.purchase, asBuyer)) return { kind: 'purchase-not-found' };
    const purchase = this.#now(found.purchase);
    const target = kind === 'cancel' ? 'cancelled' : 'released';
    const refusal = refuseToGiveBack(kind, purchase.status);
    if (refusal === 'unchanged') return { kind: 'unchanged', purchase };
    if (refusal) return { kind: refusal };
    this.#take(purchase.buyerId, -purchase.quantity, purchase.status === 'held');
    const after = { ...purchase, status: target } as const;
    this.#givenBack.set(purchase.id, after);
    return { kind: 'give back', purchase: after };
  }

  /** The decision for a key that was used before; undefined for a key that was not, and without a key. */
  #sameKey({ idempotency, asBuyer }: PurchaseRequest): Decision | undefined {
    if (!idempotency) return undefined;
    const { key, fingerprint } = idempotency;
    const earlier = this.#byKey.get(key);
    const granted = this.#granted.get(key);
    if (!earlier && !granted) return undefined;
    if (isHidden(earlier?.purchase ?? granted?.request, asBuyer)) return { kind: 'purchase-not-found' };
    const first = earlier?.idempotency ?? granted?.request.idempotency;
    if (first?.fingerprint !== fingerprint) return { kind: 'idempotency-key-reused' };
    if (earlier) return { kind: 'recall', purchase: this.#now(earlier.purchase), own: false };
    return { kind: 'repeat', of: granted?.index ?? 0 };
  }

  #now(purchase: Purchase): Purchase {
    return this.#givenBack.get(purchase.id) ?? purchase;
  }

  #totalOf(buyerId: string | null): number {
    return buyerId === null ? 0 : (this.#totals.get(buyerId) ?? 0);
  }

  #take(buyerId: string | null, quantity: number, isHold: boolean): void {
    this.#available -= quantity;
    if (isHold) this.#held += quantity;
    if (buyerId !== null) this.#totals.set(buyerId, this.#totalOf(buyerId) + quantity);
  }
}

interface Left {
  readonly available: number;
  readonly held: number;
  /** The tickets that the buyer has. */
  readonly total: number;
}

function refuse({ quantity, buyerId }: PurchaseRequest, event: EventState, { available, held, total }: Left): Refusal | undefined {
  const { maxPurchaseLimit, maxPerBuyer, saleStartsAt } = event.rules;
  if (quantity > maxPurchaseLimit) return { kind: 'purchase-limit-exceeded', maxPurchaseLimit };
  if (maxPerBuyer !== null && buyerId === null) return { kind: 'buyer-required' };
  if (event.phase === 'ended') return { kind: 'sale-ended' };
  if (event.phase === 'scheduled' && saleStartsAt) {
    return { kind: 'sale-not-started', saleStartsAt, startsInSeconds: event.startsInSeconds ?? 0 };
  }
  if (available === 0) return { kind: 'sold-out', held };
  if (quantity > available) return { kind: 'insufficient-availability', available, held };
  if (maxPerBuyer !== null && total + quantity > maxPerBuyer) {
    return { kind: 'buyer-limit-exceeded', remaining: Math.max(0, maxPerBuyer - total) };
  }
  return undefined;
}

function refuseToGiveBack(kind: GiveBackRequest['kind'], status: PurchaseStatus): 'unchanged' | SettledRefusal | undefined {
  switch (status) {
    case 'held':
      return undefined;
    case 'confirmed':
      return kind === 'cancel' ? undefined : 'purchase-confirmed';
    case 'cancelled':
      return kind === 'cancel' ? 'unchanged' : 'purchase-cancelled';
    case 'released':
      return kind === 'release' ? 'unchanged' : 'hold-released';
    case 'expired':
      return kind === 'release' ? 'unchanged' : 'hold-expired';
    default:
      return impossible(status);
  }
}

type SettledRefusal = 'purchase-confirmed' | 'purchase-cancelled' | 'hold-released' | 'hold-expired';

/** Confirming needs no batch of the event: the statement that confirms judges the hold, and this its answer. @param purchase after the statement */
export function decideConfirmation(purchase: Purchase): Outcome {
  switch (purchase.status) {
    case 'confirmed':
      return { kind: 'settled', purchase };
    case 'expired':
      return { kind: 'hold-expired' };
    case 'released':
      return { kind: 'hold-released' };
    case 'cancelled':
      return { kind: 'purchase-cancelled' };
    case 'held':
      throw new Error('a hold was neither confirmed nor expired');
    default:
      return impossible(purchase.status);
  }
}

/**
 * Whether a purchase must be answered as if it did not exist. Where buyers have tokens, a purchase that names no buyer was made by the
 * seller, or before there were tokens: it belongs to no buyer.
 */
export function isHidden(purchase: Pick<Purchase, 'buyerId'> | undefined, asBuyer: AsBuyer): boolean {
  return asBuyer !== undefined && purchase !== undefined && purchase.buyerId !== asBuyer;
}

/** Whether a request was refused because too few tickets are left. Then the next batch cannot assume that enough are available. */
export function isShortage({ kind }: Outcome): boolean {
  return kind === 'sold-out' || kind === 'insufficient-availability';
}
