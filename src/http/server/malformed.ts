/**
 * Requests that are malformed although Node's parser accepts them. It keeps one of two Host headers and drops headers
 * beyond a number silently: an Idempotency-Key among those would be lost, and a repeated purchase would buy again.
 */
import type { IncomingMessage, RequestListener } from 'node:http';
import { isEnding, type Refusal, sendLastRefusal } from './unparsed.js';

/** Browsers send some twenty, proxies add a few. */
export const headersMax = 100;

const versions = ['1.1', '1.0'];

/**
 * Refuses them before the listener sees them, and closes their connections: where parsers disagree about one request,
 * they may disagree about where the next begins.
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
  if (!versions.includes(httpVersion)) return { status: 400, detail: `This server speaks HTTP/1.1, not HTTP/${httpVersion}.` };
  if (rawHeaders.length > headersMax * 2) return { status: 431, detail: `A request has at most ${String(headersMax)} headers.` };
  let hosts = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name?.length === 4 && name.toLowerCase() === 'host') hosts += 1;
  }
  if (hosts > 1) return { status: 400, detail: 'A request has one Host header.' };
  if (hosts === 0 && httpVersion === '1.1') return { status: 400, detail: 'A request in HTTP/1.1 has a Host header.' };
  return undefined;
}
