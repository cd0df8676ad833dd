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
  /** UUIDv7, made before the first attempt, so that a later attempt finds the purchase of an earlier one. */
  readonly purchaseId: string;
  /** A whole number from 1. It may exceed every limit; then the request is refused. */
  readonly quantity: number;
  readonly idempotency: Idempotency | null;
}

/** A committed purchase of exactly `quantity` tickets, in the order of their ids. */
export interface Purchase {
  readonly id: string;
  readonly eventId: string;
  readonly quantity: number;
  readonly createdAt: Date;
  readonly ticketIds: readonly string[];
}

/** A purchase in the database, with the key that bought it. */
export interface ExistingPurchase {
  readonly purchase: Purchase;
  readonly idempotency: Idempotency | null;
}

/** The rules that an operator sets for an event. */
export interface RuleValues {
  readonly maxPurchaseLimit: number;
}

/** A value that is not given stays as it is. */
export type RuleChange = { readonly [rule in keyof RuleValues]?: RuleValues[rule] | undefined };

/** The rules as of a revision, which every change increments. */
export interface Rules extends RuleValues {
  readonly revision: number;
}

/** What `decide` needs to know about an event. */
export interface EventState {
  readonly available: number;
  readonly rules: Rules;
}

/** Why a request bought nothing. */
export type Refusal =
  | { readonly kind: 'event-not-found' }
  | { readonly kind: 'sold-out' }
  | { readonly kind: 'insufficient-availability'; readonly available: number }
  | { readonly kind: 'purchase-limit-exceeded'; readonly maxPurchaseLimit: number }
  | { readonly kind: 'idempotency-key-reused' };

const everyRefusal: Readonly<Record<Refusal['kind'], true>> = {
  'event-not-found': true,
  'sold-out': true,
  'insufficient-availability': true,
  'purchase-limit-exceeded': true,
  'idempotency-key-reused': true,
};
export const refusalKinds = Object.keys(everyRefusal) as Refusal['kind'][];

/** The limit that refused a request. */
export type OverloadReason = 'draining' | 'purchases full' | 'event purchases full' | 'event loop lag' | 'too late' | 'client gone';

export type Outcome =
  | { readonly kind: 'sold'; readonly purchase: Purchase; readonly replayed: boolean }
  | Refusal
  /** Refused before any transaction carried the request: nothing was bought. */
  | { readonly kind: 'overloaded'; readonly reason: OverloadReason; readonly retryAfterSeconds: number }
  /** The tickets may have been bought; a retry with the same key, or a look-up of `purchaseId`, finds out. */
  | { readonly kind: 'outcome-unknown'; readonly purchaseId: string; readonly retryAfterSeconds: number };

/** For the `default` of an exhaustive switch: the call does not compile if a case is missing. */
export function impossible(value: never): never {
  throw new Error(`not a known case: ${JSON.stringify(value)}`);
}
