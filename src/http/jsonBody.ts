import express, { type RequestHandler } from 'express';
import { Problem } from './problems.js';

export const bodyBytesMax = 16 * 1024;

/** JSON in UTF-8 and nothing else; a request without a body passes, and fails validation by what it lacks. */
const mediaType: RequestHandler = (req, _res, next) => {
  const given = req.headers['content-type'] ?? '';
  const [, charset = 'utf-8'] = /;\s*charset="?([^";\s]+)/i.exec(given) ?? [];
  if (req.is('application/json') === false || !/^utf-?8$/i.test(charset)) {
    throw new Problem(
      'unsupported-media-type',
      `Send the body as application/json in UTF-8, not as ${given === '' ? 'an unnamed type' : given}.`,
    );
  }
  next();
};

export const jsonBody: RequestHandler[] = [mediaType, express.json({ limit: bodyBytesMax, inflate: false, type: 'application/json' })];
