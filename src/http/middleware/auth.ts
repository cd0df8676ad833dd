import { createHash, timingSafeEqual } from 'node:crypto';
import type { RequestHandler } from 'express';
import { Problem } from '../contract/problems.js';

const digest = (text: string) => createHash('sha256').update(text).digest();

/** Lets through who knows the token. Compares digests in constant time: neither length nor a common prefix shows. */
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
        ? 'Send "Authorization: Bearer TOKEN": the token is ADMIN_TOKEN, or was printed at start.'
        : 'That is not the admin token.';
    throw new Problem('unauthorized', detail, { headers: { 'WWW-Authenticate': challenge } });
  };
}
