/**
 * What Node refuses before there is a request for Express: the same problem+json, written on the bare socket.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

interface Refusal {
  readonly status: number;
  readonly reason: string;
  readonly detail: string;
}

/** By Node's error code; anything else is a request that is no HTTP. */
const refusals: Readonly<Record<string, Refusal>> = {
  HPE_HEADER_OVERFLOW: { status: 431, reason: 'Request Header Fields Too Large', detail: 'The headers are too large.' },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, reason: 'Request Timeout', detail: 'The request did not arrive in time.' },
};
const notHttp: Refusal = { status: 400, reason: 'Bad Request', detail: 'This is not a well-formed HTTP request.' };

/** @param owedTo the answers that a connection is still owed */
export function answerUnparsed(server: Server, owedTo: (connection: Duplex) => readonly ServerResponse[]): void {
  const ending = new WeakSet<Duplex>();
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    // A refusal sent now would be taken for the answer to a request that came whole before it, a purchase perhaps.
    const last = owedTo(socket).findLast(({ req }) => req.complete);
    if (last) {
      if (ending.has(socket)) return;
      ending.add(socket);
      last.once('close', () => socket.end(() => socket.destroy()));
      return;
    }
    const { status, reason, detail } = refusals[error.code ?? ''] ?? notHttp;
    const { headers, body } = problem(status, reason, detail);
    const lines = Object.entries({ ...headers, Connection: 'close' }).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.end(`HTTP/1.1 ${String(status)} ${reason}\r\n${lines.join('')}\r\n${body}`);
  });
  server.on('checkExpectation', (_req: IncomingMessage, res: ServerResponse) => {
    const { headers, body } = problem(417, 'Expectation Failed', 'Only "Expect: 100-continue" can be met.');
    res.writeHead(417, headers).end(body);
  });
}

function problem(status: number, title: string, detail: string): { headers: Record<string, string>; body: string } {
  const requestId = randomUUID();
  const code = 'validation';
  const body = JSON.stringify({ type: `urn:onsale:problem:${code}`, title, status, detail, code, request_id: requestId, errors: [] });
  const length = String(Buffer.byteLength(body));
  return { headers: { 'Content-Type': 'application/problem+json', 'X-Request-Id': requestId, 'Content-Length': length }, body };
}
