/**
 * The error catalogue: every error that a client can receive, in one table. Every error body is
 * application/problem+json (RFC 9457); `code` is the stable identifier for programs.
 */
import type { ServerResponse } from 'node:http';
import { impossible, type Outcome } from '../../sale/types.js';
import { sendJson } from '../middleware/send.js';

export const catalogue = {
  validation: { status: 400, title: 'The request is not well formed' },
  unauthorized: { status: 401, title: 'The admin token is required' },
  'not-found': { status: 404, title: 'There is nothing at this path' },
  'event-not-found': { status: 404, title: 'The event does not exist' },
  'purchase-not-found': { status: 404, title: 'The event has no such purchase' },
  'method-not-allowed': { status: 405, title: 'The path does not support this method' },
  'sold-out': { status: 409, title: 'The event is sold out' },
  'insufficient-availability': { status: 409, title: 'Fewer tickets are left than requested' },
  'body-too-large': { status: 413, title: 'The request body is too large' },
  'unsupported-media-type': { status: 415, title: 'The request body must be JSON in UTF-8' },
  'purchase-limit-exceeded': { status: 422, title: 'The quantity exceeds the limit of one purchase' },
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
      return { code, detail: 'There is no event with this id.' };
    case 'sold-out':
      return { code, detail: 'No tickets are left.', members: { available_quantity: 0 } };
    case 'insufficient-availability':
      return {
        code,
        detail: `Only ${String(outcome.available)} of the event's tickets are left.`,
        members: { available_quantity: outcome.available },
      };
    case 'purchase-limit-exceeded':
      return {
        code,
        detail: `One purchase of this event can have at most ${String(outcome.maxPurchaseLimit)} tickets.`,
        members: { max_purchase_limit: outcome.maxPurchaseLimit },
      };
    case 'idempotency-key-reused':
      return { code, detail: 'This key was used for a different purchase; a new request needs a new key.' };
    case 'overloaded':
      return {
        code,
        detail: 'The request was refused before it began: nothing was bought.',
        headers: retryAfter(outcome.retryAfterSeconds),
      };
    case 'outcome-unknown':
      return {
        code,
        detail: 'If you sent a key, send the same request again; otherwise look up purchase_id later: it may still be committed.',
        members: { purchase_id: outcome.purchaseId },
        headers: retryAfter(outcome.retryAfterSeconds),
      };
    default:
      return impossible(outcome);
  }
}
