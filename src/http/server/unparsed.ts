/**
 * Malformed HTTP, answered like any other error: with problem+json. Node's parser refuses some of it before there is a
 * request, so that the answer is written to the bare socket; the rest has a request and a response (malformed.ts).
 */
import { randomUUID } from 'node:crypto';
import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { prepareAnswer, standingHeaders } from '../middleware/everyAnswer.js';
import { sendJson } from '../middleware/send.js';

export interface Refusal {
  readonly status: number;
  readonly detail: string;
}

/** By Node's error code; anything else is not HTTP. */
const refusals: Readonly<Record<string, Refusal>> = {
  HPE_HEADER_OVERFLOW: { status: 431, detail: 'The headers are too large.' },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, detail: 'The request did not arrive in time.' },
};
const notHttp: Refusal = { status: 400, detail: 'This is not a well-formed HTTP request.' };
const noTunnel: Refusal = { status: 400, detail: 'This server opens no tunnels.' };
const unknownExpectation: Refusal = { status: 417, detail: 'Only "Expect: 100-continue" can be met.' };

const problemType = 'application/problem+json';

/** Connections that end with an answer which they have been given already, or are still owed. */
const ending = new WeakSet<Duplex>();

export function isEnding(connection: Duplex): boolean {
  return ending.has(connection);
}

/** @param owedTo the answers that a connection is still owed */
export function answerUnparsed(server: Server, owedTo: (connection: Duplex) => readonly ServerResponse[]): void {
  function refuseConnection(socket: Duplex, refusal: Refusal): void {
    if (isEnding(socket)) return;
    ending.add(socket);
    // A refusal sent at once would be taken for the answer to an earlier request that is complete, a purchase perhaps.
    const last = owedTo(socket).findLast(({ req }) => req.complete);
    if (!last) {
      socket.end(bareAnswer(refusal));
      return;
    }
    last.once('close', () => socket.end(() => socket.destroy()));
  }

  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy();
    else refuseConnection(socket, refusals[error.code ?? ''] ?? notHttp);
  });
  server.on('connect', (_req: IncomingMessage, socket: Duplex) => {
    // Node has taken its own listeners off, those that end silent and broken connections among them.
    for (const event of ['error', 'timeout', 'end']) socket.on(event, () => socket.destroy());
    socket.resume();
    refuseConnection(socket, noTunnel);
  });
  server.on('checkExpectation', (req: IncomingMessage, res: ServerResponse) => {
    sendRefusal(req, res, unknownExpectation);
  });
}

/** The same for a request that Node's parser let through, and the last answer of its connection. */
export function sendLastRefusal(req: IncomingMessage, res: ServerResponse, refusal: Refusal): void {
  ending.add(req.socket);
  res.setHeader('Connection', 'close');
  sendRefusal(req, res, refusal);
}

function sendRefusal(req: IncomingMessage, res: ServerResponse, refusal: Refusal): void {
  prepareAnswer(req, res);
  sendJson(res, refusal.status, bodyOf(refusal, res.getHeader('X-Request-Id')), problemType);
}

function bareAnswer(refusal: Refusal): string {
  const requestId = randomUUID();
  const body = JSON.stringify(bodyOf(refusal, requestId));
  const headers = {
    Date: new Date().toUTCString(),
    'X-Request-Id': requestId,
    ...standingHeaders,
    'Content-Type': problemType,
    'Content-Length': String(Buffer.byteLength(body)),
    Connection: 'close',
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${String(refusal.status)} ${titleOf(refusal)}\r\n${lines.join('')}\r\n${body}`;
}

/** These statuses are not in the catalogue, because only malformed HTTP gets them; the code is that of malformed requests. */
function bodyOf(refusal: Refusal, requestId: unknown): object {
  const { status, detail } = refusal;
  const code = 'validation';
  return { type: `urn:onsale:problem:${code}`, title: titleOf(refusal), status, detail, code, request_id: requestId, errors: [] };
}

function titleOf({ status }: Refusal): string {
  return STATUS_CODES[status] ?? 'Bad Request';
}
