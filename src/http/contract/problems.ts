/**
 * The error catalogue: every error that a client can receive, in one table. Every error body is
 * application/problem+json (RFC 9457); `code` is the stable identifier for programs.
 */
import type { ServerResponse } from 'node:http';
import { impossible, type Outcome } from '../../sale/types.js';
import { sendJson } from '../middleware/send.js';

export const catalogue = {
  validation: { status: 400, title: 'The request is not well formed' },
  unauthorized: { status: 401, title: 'A valid token is required' },
  'not-found': { status: 404, title: 'There is nothing at this path' },
  'event-not-found': { status: 404, title: 'The event does not exist' },
  'purchase-not-found': { status: 404, title: 'The event has no such purchase' },
  'method-not-allowed': { status: 405, title: 'The path does not support this method' },
  'sold-out': { status: 409, title: 'The event is sold out' },
  'insufficient-availability': { status: 409, title: 'Fewer tickets are left than requested' },
  'sale-not-started': { status: 409, title: 'The sale has not started' },
  'sale-ended': { status: 409, title: 'The sale has ended' },
  'buyer-limit-exceeded': { status: 409, title: 'The buyer would have more tickets than the event allows' },
  'hold-expired': { status: 409, title: 'The hold has expired' },
  'hold-released': { status: 409, title: 'The hold was released' },
  'purchase-confirmed': { status: 409, title: 'The purchase is confirmed' },
  'purchase-cancelled': { status: 409, title: 'The purchase was cancelled' },
  'body-too-large': { status: 413, title: 'The request body is too large' },
  'unsupported-media-type': { status: 415, title: 'The request body must be JSON in UTF-8' },
  'purchase-limit-exceeded': { status: 422, title: 'The quantity exceeds the limit of one purchase' },
  'buyer-required': { status: 422, title: 'The event limits tickets per buyer, and no buyer is named' },
  'buyer-mismatch': { status: 422, title: 'The token belongs to another buyer' },
  'idempotency-key-reused': { status: 422, title: 'The idempotency key was used for a different request' },
  'quota-fixed': { status: 422, title: 'The quota of an event cannot be changed' },
  'rate-limited': { status: 429, title: 'Too many requests from one client' },
  'internal-error': { status: 500, title: 'Internal error' },
  overloaded: { status: 503, title: 'Not now: nothing happened, try again' },
  'outcome-unknown': { status: 503, title: 'It is not known whether this happened' },
  'not-ready': { status: 503, title: 'The replica is not ready' },
} as const satisfies Record<string, { status: number; title: string }>;

export type ProblemCode = keyof typeof catalogue;

export interface ProblemExtras {
  /** Body members in addition to the standard ones. */
  readonly members?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One error as a client receives it. */
export interface ProblemAnswer extends ProblemExtras {
  readonly code: ProblemCode;
  /** One sentence for people: what happened, or what to do about it. */
  readonly detail: string;
}

/** An error that a handler throws; the error handler sends it as the answer. */
export class Problem extends Error implements ProblemAnswer {
  override readonly name = 'Problem';
  readonly members: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    readonly code: ProblemCode,
    readonly detail: string,
    { members = {}, headers = {} }: ProblemExtras = {},
  ) {
    super(detail);
    this.members = members;
    this.headers = headers;
  }
}

/** A refusal that tells the client when to retry. */
export function overloaded(detail: string, retryAfterSeconds: number): Problem {
  return new Problem('overloaded', detail, { headers: retryAfter(retryAfterSeconds) });
}

export function retryAfter(seconds: number): Record<string, string> {
  return { 'Retry-After': String(seconds) };
}

export function sendProblem(res: ServerResponse, problem: ProblemAnswer): void {
  for (const [name, value] of Object.entries(problem.headers ?? {})) res.setHeader(name, value);
  sendJson(res, catalogue[problem.code].status, problemBody(problem, res.getHeader('X-Request-Id')), problemType);
}

export const problemType = 'application/problem+json';

export function problemBody({ code, detail, members }: ProblemAnswer, requestId: unknown): Readonly<Record<string, unknown>> {
  const { status, title } = catalogue[code];
  return { type: typeOf(code), title, status, detail, code, request_id: requestId, ...members };
}

/** The member `type`. */
export function typeOf(code: ProblemCode): string {
  return `urn:onsale:problem:${code}`;
}

/** An outcome of the sale as a problem. */
export function problemOf(outcome: Exclude<Outcome, { kind: 'granted' | 'settled' }>): ProblemAnswer {
  const code = outcome.kind;
  switch (outcome.kind) {
    case 'event-not-found':
      return { code, detail: 'There is no event with this id.' };
    case 'sold-out':
      return {
        code,
        detail: outcome.held === 0 ? 'No tickets are left.' : 'No tickets are left; some are held and may come back.',
        members: { available_quantity: 0, held_quantity: outcome.held },
      };
    case 'insufficient-availability':
      return {
        code,
        detail: `Only ${String(outcome.available)} of the event's tickets are left.`,
        members: { available_quantity: outcome.available, held_quantity: outcome.held },
      };
    case 'sale-not-started':
      return {
        code,
        detail: `The sale starts at ${outcome.saleStartsAt.toISOString()}.`,
        members: { sale_starts_at: outcome.saleStartsAt.toISOString() },
        headers: retryAfter(Math.max(1, Math.ceil(outcome.startsInSeconds))),
      };
    case 'sale-ended':
      return { code, detail: 'The sale of this event has ended.' };
    case 'buyer-required':
      return { code, detail: 'Name the buyer in buyer_id.' };
    case 'buyer-limit-exceeded':
      return {
        code,
        detail: `The buyer can have ${String(outcome.remaining)} more tickets of this event.`,
        members: { remaining: outcome.remaining },
      };
    case 'purchase-limit-exceeded':
      return {
        code,
        detail: `One purchase of this event can have at most ${String(outcome.maxPurchaseLimit)} tickets.`,
        members: { max_purchase_limit: outcome.maxPurchaseLimit },
      };
    case 'idempotency-key-reused':
      return { code, detail: 'This key was used for a different purchase; a new request needs a new key.' };
    case 'purchase-not-found':
      return { code, detail: 'The event has no purchase with this id.' };
    case 'hold-expired':
      return { code, detail: 'The purchase was held until its expires_at and is not any more.' };
    case 'hold-released':
      return { code, detail: 'The purchase was held and has been released.' };
    case 'purchase-confirmed':
      return { code, detail: 'A confirmed purchase can be cancelled by the admin, not released.' };
    case 'purchase-cancelled':
      return { code, detail: 'The purchase was cancelled; its tickets are void.' };
    case 'overloaded':
      return {
        code,
        detail: 'The request was refused before it began: nothing happened.',
        headers: retryAfter(outcome.retryAfterSeconds),
      };
    case 'outcome-unknown':
      return {
        code,
        detail: 'Send the same request again, with the same key if it buys; or look up purchase_id later: it may still be committed.',
        members: { purchase_id: outcome.purchaseId },
        headers: retryAfter(outcome.retryAfterSeconds),
      };
    default:
      return impossible(outcome);
  }
}
