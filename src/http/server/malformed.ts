/**
 * Refuses malformed requests that Node's parser accepts. The parser keeps only one of two Host headers, and silently drops headers
 * beyond a maximum: if an Idempotency-Key were among them, a repeated purchase would buy again.
 */
import type { IncomingMessage, RequestListener } from 'node:http';
import { isEnding, type Refusal, sendLastRefusal } from './unparsed.js';

/** Browsers send about twenty, and proxies add a few. */
export const headersMax = 100;

const versions = ['1.1', '1.0'];

/**
 * Refuses malformed requests before the listener sees them, and closes their connections: parsers that disagree about one
 * request may disagree about where the next one begins.
 */
export function refuseMalformed(listener: RequestListener): RequestListener {
  return (req, res) => {
    if (isEnding(req.socket)) return; // pipelined behind a refusal
    const refusal = malformation(req);
    if (refusal === undefined) listener(req, res);
    else sendLastRefusal(req, res, refusal);
  };
}

function malformation({ httpVersion, rawHeaders }: IncomingMessage): Refusal | undefined {
  if (!versions.includes(httpVersion)) return { status: 400, detail: `This server supports HTTP/1.1, not HTTP/${httpVersion}.` };
  if (rawHeaders.length > headersMax * 2) return { status: 431, detail: `A request can have at most ${String(headersMax)} headers.` };
  let hosts = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name?.length === 4 && name.toLowerCase() === 'host') hosts += 1;
  }
  if (hosts > 1) return { status: 400, detail: 'A request can have only one Host header.' };
  if (hosts === 0 && httpVersion === '1.1') return { status: 400, detail: 'An HTTP/1.1 request needs a Host header.' };
  return undefined;
}
