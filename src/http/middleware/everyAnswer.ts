import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RequestHandler } from 'express';

/** Request ids that are safe in a log line and a header. */
const safeId = /^[\w.:/+=@-]{1,128}$/;

/**
 * No cache may store an answer, because availability changes with every sale, and no client may guess another content type.
 * The documentation sets its own caching headers (docs.ts).
 */
export const standingHeaders = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' } as const;

/** Sets the headers of every answer: the standing headers, and a request id, which is the caller's if that is safe to repeat. */
export function prepareAnswer(req: IncomingMessage, res: ServerResponse): void {
  const given = req.headers['x-request-id'];
  res.setHeader('X-Request-Id', typeof given === 'string' && safeId.test(given) ? given : randomUUID());
  res.setHeader('Cache-Control', standingHeaders['Cache-Control']);
  res.setHeader('X-Content-Type-Options', standingHeaders['X-Content-Type-Options']);
}

export const everyAnswer: RequestHandler = (req, res, next) => {
  prepareAnswer(req, res);
  next();
};
