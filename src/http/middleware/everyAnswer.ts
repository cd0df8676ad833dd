import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RequestHandler } from 'express';

/** Request ids that are safe in a log line and a header. */
const sane = /^[\w.:/+=@-]{1,128}$/;

/**
 * Nobody on the way may keep an answer or take it for another type, because availability changes with every sale.
 * Pages get more, and may be kept (docs.ts).
 */
export const standingHeaders = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' } as const;

/** What every answer carries: the standing headers, and an id, the caller's if it sent a sane one. */
export function prepareAnswer(req: IncomingMessage, res: ServerResponse): void {
  const given = req.headers['x-request-id'];
  res.setHeader('X-Request-Id', typeof given === 'string' && sane.test(given) ? given : randomUUID());
  res.setHeader('Cache-Control', standingHeaders['Cache-Control']);
  res.setHeader('X-Content-Type-Options', standingHeaders['X-Content-Type-Options']);
}

export const everyAnswer: RequestHandler = (req, res, next) => {
  prepareAnswer(req, res);
  next();
};
