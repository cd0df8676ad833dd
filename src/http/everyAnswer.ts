import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RequestHandler } from 'express';

/** Request ids that are safe in a log line and a header. */
const sane = /^[\w.:/+=@-]{1,128}$/;

/**
 * What every answer carries: an id, the caller's if it sent a sane one; and that nobody on the way may keep it or take
 * it for another type, because availability changes with every sale. Pages get more (docs.ts).
 */
export function prepareAnswer(req: IncomingMessage, res: ServerResponse): void {
  const given = req.headers['x-request-id'];
  res.setHeader('X-Request-Id', typeof given === 'string' && sane.test(given) ? given : randomUUID());
  res.setHeader('Cache-Control', 'no-store');
  res.setHeader('X-Content-Type-Options', 'nosniff');
}

export const everyAnswer: RequestHandler = (req, res, next) => {
  prepareAnswer(req, res);
  next();
};
