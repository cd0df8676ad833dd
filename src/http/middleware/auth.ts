import { createHash, timingSafeEqual } from 'node:crypto';
import type { RequestHandler } from 'express';
import { Problem } from '../contract/problems.js';

const digest = (text: string) => createHash('sha256').update(text).digest();

/** Requires the admin token. Digests are compared in constant time, so neither its length nor a common prefix leaks. */
export function requireAdmin(adminToken: string): RequestHandler {
  const expected = digest(adminToken);
  return (req, _res, next) => {
    const [, token] = /^Bearer +(\S+)$/i.exec(req.headers.authorization ?? '') ?? [];
    if (token !== undefined && timingSafeEqual(digest(token), expected)) {
      next();
      return;
    }
    const challenge = token === undefined ? 'Bearer realm="onsale"' : 'Bearer realm="onsale", error="invalid_token"';
    const detail =
      token === undefined
        ? 'Send "Authorization: Bearer TOKEN" with the value of ADMIN_TOKEN, or the token printed at start.'
        : 'This is not the admin token.';
    throw new Problem('unauthorized', detail, { headers: { 'WWW-Authenticate': challenge } });
  };
}
