import type { Response } from 'express';

/**
 * Answers with JSON. Express's own `res.json` also looks for settings, charsets, freshness and ETags, none of which is
 * wanted here, on every answer.
 *
 * @param type the media type, where it is not plain JSON
 */
export function sendJson(res: Response, status: number, body: unknown, type = 'application/json; charset=utf-8'): void {
  res.statusCode = status;
  res.setHeader('Content-Type', type);
  res.end(JSON.stringify(body));
}
