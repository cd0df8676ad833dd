/** The problems of requests that do not reach the sale. Those of requests that do are the outcomes of `problemOf`. */
import { overloaded, Problem, retryAfter } from './problems.js';

/** The detail of a 401 without a token, by the token that is missing. */
export const missingToken = {
  admin: 'Send "Authorization: Bearer TOKEN" with the value of ADMIN_TOKEN, or the token printed at start.',
  seller: 'Send "Authorization: Bearer TOKEN" with the value of SELLER_TOKEN or ADMIN_TOKEN.',
  buyer: 'Send "Authorization: Bearer TOKEN" with the token of the buyer.',
} as const;

/** @param token as sent; undefined if there was none */
export function unauthorized(token: string | undefined, detail: string): Problem {
  const challenge = token === undefined ? 'Bearer realm="onsale"' : 'Bearer realm="onsale", error="invalid_token"';
  return new Problem('unauthorized', detail, { headers: { 'WWW-Authenticate': challenge } });
}

export function bodyTooLarge(bytesMax: number): Problem {
  return new Problem('body-too-large', `The body can have at most ${String(bytesMax)} bytes.`);
}

/** @param mediaType as sent; empty if there was none */
export function notJson(mediaType: string): Problem {
  const name = mediaType === '' ? 'an unspecified type' : mediaType;
  return new Problem('unsupported-media-type', `Send the body as application/json in UTF-8, not as ${name}.`);
}

export function rateLimited(requestsPerMinuteMax: number): Problem {
  return new Problem('rate-limited', `One client may send ${String(requestsPerMinuteMax)} requests per minute.`);
}

export function buyerMismatch(): Problem {
  return new Problem('buyer-mismatch', 'buyer_id must be the subject of the token; it can be left out.');
}

export function quotaFixed(): Problem {
  return new Problem('quota-fixed', 'total_quota cannot be changed; create another event.');
}

export function notReady(reason: string): Problem {
  return new Problem('not-ready', reason);
}

export function internalError(): Problem {
  return new Problem('internal-error', 'The error was logged with this request id.');
}

/** @param documented whether /openapi.json is served, so that the answer can refer to it */
export function nothingAt(path: string, documented: boolean): Problem {
  return new Problem('not-found', `There is nothing at ${path}${documented ? '; /openapi.json lists the paths' : ''}.`);
}

/** @param allow the methods that the path supports */
export function methodNotAllowed(method: string, allow: string): Problem {
  return new Problem('method-not-allowed', `${method} is not supported here; use ${allow}.`, { headers: { Allow: allow } });
}

/** @param what fills the limit */
export function tooMany(what: 'requests' | 'reads', retryAfterSeconds: number): Problem {
  return overloaded(`Too many ${what} are in progress.`, retryAfterSeconds);
}

/** For requests that have no purchase to look up later. */
export function changeUnknown(): Problem {
  return new Problem('outcome-unknown', 'The database became unavailable: check the result before you retry.', {
    headers: retryAfter(1),
  });
}
