/**
 * The error catalogue: everything that can go wrong for a client, in one table. Every error body is
 * application/problem+json (RFC 9457); `code` is the stable word that machines read.
 */
import type { ServerResponse } from 'node:http';
import { impossible, type Outcome } from '../../sale/types.js';
import { sendJson } from '../middleware/send.js';

export const catalogue = {
  validation: { status: 400, title: 'The request is not well formed' },
  unauthorized: { status: 401, title: 'This needs the admin token' },
  'not-found': { status: 404, title: 'There is nothing at this path' },
  'event-not-found': { status: 404, title: 'There is no such event' },
  'purchase-not-found': { status: 404, title: 'This event has no such purchase' },
  'method-not-allowed': { status: 405, title: 'This path does not take that method' },
  'sold-out': { status: 409, title: 'The event is sold out' },
  'insufficient-availability': { status: 409, title: 'Fewer tickets are left than were asked for' },
  'body-too-large': { status: 413, title: 'The request body is too large' },
  'unsupported-media-type': { status: 415, title: 'The request body must be JSON in UTF-8' },
  'purchase-limit-exceeded': { status: 422, title: 'More tickets than one purchase may have' },
  'idempotency-key-reused': { status: 422, title: 'The idempotency key was used for another request' },
  'quota-fixed': { status: 422, title: 'The quota of an event is fixed when it is made' },
  'rate-limited': { status: 429, title: 'Too many requests from one client' },
  'internal-error': { status: 500, title: 'Something is broken here' },
  overloaded: { status: 503, title: 'Not now: nothing happened, try again' },
  'outcome-unknown': { status: 503, title: 'It is not known whether this happened' },
  'not-ready': { status: 503, title: 'This replica does not serve at the moment' },
} as const satisfies Record<string, { status: number; title: string }>;

export type ProblemCode = keyof typeof catalogue;

export interface ProblemExtras {
  /** Members of the body beside the standard ones. */
  readonly members?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One error as a client sees it. */
export interface ProblemAnswer extends ProblemExtras {
  readonly code: ProblemCode;
  /** One sentence for a person: what happened, or what to do about it. */
  readonly detail: string;
}

/** An error that is thrown where a handler cannot go on; the error handler answers with it. */
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

/** A refusal that says when to come back. */
export function overloaded(detail: string, retryAfterSeconds: number): Problem {
  return new Problem('overloaded', detail, { headers: retryAfter(retryAfterSeconds) });
}

export function retryAfter(seconds: number): Record<string, string> {
  return { 'Retry-After': String(seconds) };
}

export function sendProblem(res: ServerResponse, { code, detail, members, headers = {} }: ProblemAnswer): void {
  const { status, title } = catalogue[code];
  const requestId = res.getHeader('X-Request-Id');
  const body = { type: `urn:onsale:problem:${code}`, title, status, detail, code, request_id: requestId, ...members };
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
  sendJson(res, status, body, 'application/problem+json');
}

/** An outcome of the sale as a problem. */
export function problemOf(outcome: Exclude<Outcome, { kind: 'sold' }>): ProblemAnswer {
  const code = outcome.kind;
  switch (outcome.kind) {
    case 'event-not-found':
      return { code, detail: 'No event has this id.' };
    case 'sold-out':
      return { code, detail: 'Nothing is left.', members: { available_quantity: 0 } };
    case 'insufficient-availability':
      return {
        code,
        detail: `${String(outcome.available)} left; ask for no more than that.`,
        members: { available_quantity: outcome.available },
      };
    case 'purchase-limit-exceeded':
      return {
        code,
        detail: `One purchase has at most ${String(outcome.maxPurchaseLimit)} tickets of this event.`,
        members: { max_purchase_limit: outcome.maxPurchaseLimit },
      };
    case 'idempotency-key-reused':
      return { code, detail: 'This key already bought something else; a new request needs a new key.' };
    case 'overloaded':
      return { code, detail: 'Refused before it began: nothing was bought.', headers: retryAfter(outcome.retryAfterSeconds) };
    case 'outcome-unknown':
      return {
        code,
        detail: 'If you sent a key, send the same request again; else look purchase_id up later: it may still come.',
        members: { purchase_id: outcome.purchaseId },
        headers: retryAfter(outcome.retryAfterSeconds),
      };
    default:
      return impossible(outcome);
  }
}
