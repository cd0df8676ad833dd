import { randomUUID } from 'node:crypto';
import type { RequestHandler } from 'express';

/** Ids that are safe in a log line and a header. */
const sane = /^[\w.:/+=@-]{1,128}$/;

/** Every response carries an id: the caller's if it sent a sane one, else a new one. */
export const requestId: RequestHandler = (req, res, next) => {
  const given = req.headers['x-request-id'];
  res.setHeader('X-Request-Id', typeof given === 'string' && sane.test(given) ? given : randomUUID());
  next();
};
