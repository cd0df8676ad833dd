/**
 * The domain types of the sale: requests, the state of an event, outcomes. A refusal is a value, to be switched on
 * exhaustively; only broken machines throw.
 */

/** The caller's key, and the canonical form of the body that it was sent with. */
export interface Idempotency {
  readonly key: string;
  readonly fingerprint: string;
}

/** A request to buy, with everything that must stay the same when it is retried. */
export interface PurchaseRequest {
  readonly kind: 'buy';
  /** UUIDv7, made before the first attempt, so that a later attempt finds the purchase of an earlier one. */
  readonly purchaseId: string;
  /** A whole number from 1. It may exceed every limit; then the request is refused. */
  readonly quantity: number;
  readonly buyerId: string | null;
  readonly reference: string | null;
  readonly idempotency: Idempotency | null;
  readonly asBuyer: AsBuyer;
}

/** The buyer who sent the request, as proven by a token. Undefined: the caller may act for anybody. Purchases of others do not exist for a buyer. */
export type AsBuyer = string | undefined;

/** A request to give back what a purchase took. */
export interface GiveBackRequest {
  /** Release gives back a hold; cancel gives back a hold or a confirmed purchase. */
  readonly kind: 'release' | 'cancel';
  readonly purchaseId: string;
  readonly asBuyer: AsBuyer;
}

export interface ConfirmRequest {
  readonly kind: 'confirm';
  readonly eventId: string;
  readonly purchaseId: string;
}

/** A request that goes through the batches of its event. */
export type EventRequest = PurchaseRequest | GiveBackRequest;
export type SaleRequest = EventRequest | ConfirmRequest;

export type PurchaseStatus = 'held' | 'confirmed' | 'released' | 'expired' | 'cancelled';

/** A committed purchase, as it was at one moment by the database's clock. */
export interface Purchase {
  readonly id: string;
  readonly eventId: string;
  readonly quantity: number;
  /** `expired` from the moment at which a hold expires. */
  readonly status: PurchaseStatus;
  readonly buyerId: string | null;
  readonly reference: string | null;
  readonly createdAt: Date;
  /** Null if it never was a hold. */
  readonly expiresAt: Date | null;
  /** In the order of their ids: `quantity` of them if it was ever confirmed, none otherwise. */
  readonly ticketIds: readonly string[];
}

/** A purchase in the database, with the key that bought it. */
export interface ExistingPurchase {
  readonly purchase: Purchase;
  readonly idempotency: Idempotency | null;
}

/** The rules that an operator sets for an event. Null: there is no such rule. */
export interface RuleValues {
  readonly maxPurchaseLimit: number;
  /** The sale is open from here, by the database's clock … */
  readonly saleStartsAt: Date | null;
  /** … and up to, not including, here. */
  readonly saleEndsAt: Date | null;
  /** Tickets of one buyer, held and confirmed together. */
  readonly maxPerBuyer: number | null;
  /** Purchases are held for this long, and must be confirmed. Null: they are confirmed at once. */
  readonly holdSeconds: number | null;
}

/** A value that is not given stays as it is. */
export type RuleChange = { readonly [rule in keyof RuleValues]?: RuleValues[rule] | undefined };

/** The rules as of a revision, which every change increments. */
export interface Rules extends RuleValues {
  readonly revision: number;
}

export type Phase = 'scheduled' | 'open' | 'ended';

/** What `decide` needs to know about an event. */
export interface EventState {
  /** What can be granted. */
  readonly available: number;
  /** What is held and may come back. */
  readonly held: number;
  readonly phase: Phase;
  /** Seconds until the sale starts; not positive after that, null without a start. */
  readonly startsInSeconds: number | null;
  readonly rules: Rules;
  /** Held and confirmed tickets, of at least each buyer who has any and is named by a request. */
  readonly buyerTotals: ReadonlyMap<string, number>;
}

/** Why a request bought, confirmed or gave back nothing. */
export type Refusal =
  | { readonly kind: 'event-not-found' }
  | { readonly kind: 'sold-out'; readonly held: number }
  | { readonly kind: 'insufficient-availability'; readonly available: number; readonly held: number }
  | { readonly kind: 'sale-not-started'; readonly saleStartsAt: Date; readonly startsInSeconds: number }
  | { readonly kind: 'sale-ended' }
  | { readonly kind: 'purchase-limit-exceeded'; readonly maxPurchaseLimit: number }
  | { readonly kind: 'buyer-required' }
  | { readonly kind: 'buyer-limit-exceeded'; readonly remaining: number }
  | { readonly kind: 'idempotency-key-reused' }
  | { readonly kind: 'purchase-not-found' }
  | { readonly kind: 'hold-expired' }
  | { readonly kind: 'hold-released' }
  | { readonly kind: 'purchase-confirmed' }
  | { readonly kind: 'purchase-cancelled' };

const everyRefusal: Readonly<Record<Refusal['kind'], true>> = {
  'event-not-found': true,
  'sold-out': true,
  'insufficient-availability': true,
  'sale-not-started': true,
  'sale-ended': true,
  'purchase-limit-exceeded': true,
  'buyer-required': true,
  'buyer-limit-exceeded': true,
  'idempotency-key-reused': true,
  'purchase-not-found': true,
  'hold-expired': true,
  'hold-released': true,
  'purchase-confirmed': true,
  'purchase-cancelled': true,
};
export const refusalKinds = Object.keys(everyRefusal) as Refusal['kind'][];

/** The limit that refused a request. */
export type OverloadReason = 'draining' | 'purchases full' | 'event purchases full' | 'event loop lag' | 'too late' | 'client gone';

export type Outcome =
  /** The request has its purchase: confirmed, or held if the event has `holdSeconds`. A replay has it in whatever status it is by then. */
  | { readonly kind: 'granted'; readonly purchase: Purchase; readonly replayed: boolean }
  /** Confirmed, released or cancelled, by this request or before it. A release also leaves an expired hold as it is. */
  | { readonly kind: 'settled'; readonly purchase: Purchase }
  | Refusal
  /** Refused before any transaction carried the request: nothing happened. */
  | { readonly kind: 'overloaded'; readonly reason: OverloadReason; readonly retryAfterSeconds: number }
  /** It may have happened; a retry, with the same key if it buys, or a look-up of `purchaseId` finds out. */
  | { readonly kind: 'outcome-unknown'; readonly purchaseId: string; readonly retryAfterSeconds: number };

/** For the `default` of an exhaustive switch: the call does not compile if a case is missing. */
export function impossible(value: never): never {
  throw new Error(`not a known case: ${JSON.stringify(value)}`);
}
