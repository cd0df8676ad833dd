import type { ServerResponse } from 'node:http';

const json = 'application/json; charset=utf-8';

/**
 * Answers with JSON. Express's own `res.json` also handles settings, charsets, freshness and ETags on every answer, and none
 * of these is needed here.
 *
 * @param type the media type, if it is not plain JSON
 */
export function sendJson(res: ServerResponse, status: number, body: unknown, type = json): void {
  sendText(res, status, JSON.stringify(body), type);
}

/** Answers with JSON that is already serialised. */
export function sendText(res: ServerResponse, status: number, text: string, type = json): void {
  res.statusCode = status;
  res.setHeader('Content-Type', type);
  // Node counts the bytes of a body that it sends, and sends none in answer to HEAD.
  if (res.req.method === 'HEAD') res.setHeader('Content-Length', Buffer.byteLength(text));
  res.end(text);
}
