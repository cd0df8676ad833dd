/**
 * What a sale answers. A refusal is a value, to be switched on exhaustively; only broken machines throw.
 */
import type { Idempotency } from '../sql/recallPurchases.js';
import type { Purchase } from '../sql/readPurchase.js';

/** A request to buy, with everything that must be the same when it is tried again. */
export interface PurchaseRequest {
  /** UUIDv7, made before the first attempt: a second attempt finds the first one's purchase by it. */
  readonly purchaseId: string;
  /** A whole number from 1; it may exceed every limit, and is then refused. */
  readonly quantity: number;
  readonly idempotency: Idempotency | null;
}

/** Why a request bought nothing. */
export type Refusal =
  | { readonly kind: 'event-not-found' }
  | { readonly kind: 'sold-out' }
  | { readonly kind: 'insufficient-availability'; readonly available: number }
  | { readonly kind: 'purchase-limit-exceeded'; readonly maxPurchaseLimit: number }
  | { readonly kind: 'idempotency-key-reused' };

/** Which bound a request met. */
export type OverloadReason = 'draining' | 'line full' | 'event line full' | 'event loop lag' | 'too late' | 'client gone';

export type Outcome =
  | { readonly kind: 'sold'; readonly purchase: Purchase; readonly replayed: boolean }
  | Refusal
  /** Refused before any transaction carried it: nothing was bought. */
  | { readonly kind: 'overloaded'; readonly reason: OverloadReason; readonly retryAfterSeconds: number }
  /** It may have been bought; the same key, or a look at `purchaseId`, will tell. */
  | { readonly kind: 'outcome-unknown'; readonly purchaseId: string; readonly retryAfterSeconds: number };

/** For the `default` of an exhaustive switch: does not compile when a case is missing. */
export function impossible(value: never): never {
  throw new Error(`not a known case: ${JSON.stringify(value)}`);
}
