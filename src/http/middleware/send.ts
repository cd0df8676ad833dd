import type { ServerResponse } from 'node:http';

const json = 'application/json; charset=utf-8';

/**
 * Answers with JSON. Express's own `res.json` also looks for settings, charsets, freshness and ETags, none of which is
 * wanted here, on every answer.
 *
 * @param type the media type, where it is not plain JSON
 */
export function sendJson(res: ServerResponse, status: number, body: unknown, type = json): void {
  sendText(res, status, JSON.stringify(body), type);
}

/** The same with JSON that is text already. */
export function sendText(res: ServerResponse, status: number, text: string, type = json): void {
  res.statusCode = status;
  res.setHeader('Content-Type', type);
  res.end(text);
}
