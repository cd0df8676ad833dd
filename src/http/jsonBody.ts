import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import express, { type RequestHandler } from 'express';
import { Problem } from './problems.js';
import { invalid } from './validate.js';

export const bodyBytesMax = 16 * 1024;

/** JSON in UTF-8 and nothing else; a request without a body passes, and fails validation by what it lacks. */
const mediaType: RequestHandler = (req, _res, next) => {
  if (req.headers['content-length'] === '0') {
    next();
    return;
  }
  const given = req.headers['content-type'] ?? '';
  const [, charset = 'utf-8'] = /;\s*charset="?([^";\s]+)/i.exec(given) ?? [];
  if (req.is('application/json') === false || charset.toLowerCase() !== 'utf-8') {
    throw new Problem(
      'unsupported-media-type',
      `Send the body as application/json in UTF-8, not as ${given === '' ? 'an unnamed type' : given}.`,
    );
  }
  next();
};

/** Bytes that are not UTF-8 would otherwise be replaced silently, and a name stored that nobody sent. */
function refuseOtherBytes(_req: IncomingMessage, _res: unknown, body: Buffer): void {
  if (!isUtf8(body)) throw invalid([{ in: 'body', path: '', message: 'must be UTF-8' }]);
}

export const jsonBody: RequestHandler[] = [
  mediaType,
  express.json({ limit: bodyBytesMax, inflate: false, strict: false, type: 'application/json', verify: refuseOtherBytes }),
];
