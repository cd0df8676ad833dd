/** An example of each problem, made by the functions that make the real ones. */
import { validate } from '../../middleware/validate.js';
import { catalogue, type ProblemAnswer, problemBody, type ProblemCode, problemOf } from '../problems.js';
import * as made from '../requestProblems.js';
import * as schemas from '../schemas.js';
import { type Example, purchaseId } from './examples.js';

const requestId = '2b1c54a7-93d0-4a2e-8d6b-0f5f6c1f9a3e';

/** @param attempt something that throws a problem */
export function problemFrom(attempt: () => unknown): ProblemAnswer {
  try {
    attempt();
  } catch (problem) {
    return problem as ProblemAnswer;
  }
  throw new Error('the example of a refusal was not refused');
}

/** Of each code that an operation can answer with. An operation can have its own, for example of its own validation. */
const general: Readonly<Record<ProblemCode, ProblemAnswer>> = {
  validation: problemFrom(() => validate(schemas.id, '42', 'path', 'event_id')),
  unauthorized: made.unauthorized(undefined, made.missingToken.admin),
  'not-found': made.nothingAt('/tickets', true),
  'event-not-found': problemOf({ kind: 'event-not-found' }),
  'purchase-not-found': problemOf({ kind: 'purchase-not-found' }),
  'method-not-allowed': made.methodNotAllowed('DELETE', 'GET, HEAD, OPTIONS'),
  'sold-out': problemOf({ kind: 'sold-out', held: 2 }),
  'insufficient-availability': problemOf({ kind: 'insufficient-availability', available: 1, held: 2 }),
  'sale-not-started': problemOf({ kind: 'sale-not-started', saleStartsAt: new Date('2026-05-01T17:00:00.000Z'), startsInSeconds: 41.2 }),
  'sale-ended': problemOf({ kind: 'sale-ended' }),
  'buyer-limit-exceeded': problemOf({ kind: 'buyer-limit-exceeded', remaining: 1 }),
  'hold-expired': problemOf({ kind: 'hold-expired' }),
  'hold-released': problemOf({ kind: 'hold-released' }),
  'purchase-confirmed': problemOf({ kind: 'purchase-confirmed' }),
  'purchase-cancelled': problemOf({ kind: 'purchase-cancelled' }),
  'body-too-large': made.bodyTooLarge(4_096),
  'unsupported-media-type': made.notJson('text/plain'),
  'purchase-limit-exceeded': problemOf({ kind: 'purchase-limit-exceeded', maxPurchaseLimit: 4 }),
  'buyer-required': problemOf({ kind: 'buyer-required' }),
  'buyer-mismatch': made.buyerMismatch(),
  'idempotency-key-reused': problemOf({ kind: 'idempotency-key-reused' }),
  'quota-fixed': made.quotaFixed(),
  'rate-limited': made.rateLimited(600),
  'internal-error': made.internalError(),
  overloaded: problemOf({ kind: 'overloaded', reason: 'event purchases full', retryAfterSeconds: 2 }),
  'outcome-unknown': problemOf({ kind: 'outcome-unknown', purchaseId, retryAfterSeconds: 1 }),
  'not-ready': made.notReady('This replica is shutting down.'),
};

export type OwnExamples = Partial<Readonly<Record<ProblemCode, ProblemAnswer>>>;

export function problemFor(code: ProblemCode, own: OwnExamples = {}): ProblemAnswer {
  return own[code] ?? general[code];
}

export function problemExample(problem: ProblemAnswer): Example {
  return { summary: catalogue[problem.code].title, value: problemBody(problem, requestId) };
}

/** Of operations whose requests in progress are bounded. */
export const tooManyRequests: OwnExamples = { overloaded: made.tooMany('requests', 1) };
