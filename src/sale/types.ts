/**
 * The words of the sale: what is asked, what is known of an event, what is answered. A refusal is a value, to be switched
 * on exhaustively; only broken machines throw.
 */

/** The caller's key, and the canonical form of the body that it was first sent with. */
export interface Idempotency {
  readonly key: string;
  readonly fingerprint: string;
}

/** A request to buy, with everything that must stay the same when it is tried again. */
export interface PurchaseRequest {
  /** UUIDv7, made before the first attempt: a later attempt finds an earlier one's purchase by it. */
  readonly purchaseId: string;
  /** A whole number from 1; it may exceed every limit, and is then refused. */
  readonly quantity: number;
  readonly idempotency: Idempotency | null;
}

/** A committed purchase: exactly `quantity` tickets, in the order of their ids. */
export interface Purchase {
  readonly id: string;
  readonly eventId: string;
  readonly quantity: number;
  readonly createdAt: Date;
  readonly ticketIds: readonly string[];
}

/** A purchase in the database, with the key that it was bought with. */
export interface ExistingPurchase {
  readonly purchase: Purchase;
  readonly idempotency: Idempotency | null;
}

/** What an operator decides about an event. */
export interface RuleValues {
  readonly maxPurchaseLimit: number;
}

/** A value that is not given stays as it is. */
export type RuleChange = { readonly [rule in keyof RuleValues]?: RuleValues[rule] | undefined };

/** The same as of a revision, which every change increments. */
export interface Rules extends RuleValues {
  readonly revision: number;
}

/** What `decide` must know of an event. */
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

/** Which bound a request met. */
export type OverloadReason = 'draining' | 'purchases full' | 'event purchases full' | 'event loop lag' | 'too late' | 'client gone';

export type Outcome =
  | { readonly kind: 'sold'; readonly purchase: Purchase; readonly replayed: boolean }
  | Refusal
  /** Refused before any transaction carried it: nothing was bought. */
  | { readonly kind: 'overloaded'; readonly reason: OverloadReason; readonly retryAfterSeconds: number }
  /** It may have been bought; the same key, or a look-up of `purchaseId`, will tell. */
  | { readonly kind: 'outcome-unknown'; readonly purchaseId: string; readonly retryAfterSeconds: number };

/** For the `default` of an exhaustive switch: does not compile when a case is missing. */
export function impossible(value: never): never {
  throw new Error(`not a known case: ${JSON.stringify(value)}`);
}
