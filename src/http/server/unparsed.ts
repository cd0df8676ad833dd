/**
 * Answers malformed HTTP with problem+json, like any other error. Node's parser rejects some of it before there is a request
 * object, so that the answer is written directly to the socket; the rest has a request and a response (malformed.ts).
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

/** Refusals by Node's error code; any other code means that the input is not HTTP. */
const refusals: Readonly<Record<string, Refusal>> = {
  HPE_HEADER_OVERFLOW: { status: 431, detail: 'The headers are too large.' },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, detail: 'The request did not arrive in time.' },
};
const notHttp: Refusal = { status: 400, detail: 'This is not a well-formed HTTP request.' };
const noTunnel: Refusal = { status: 400, detail: 'This server does not support CONNECT.' };
const unknownExpectation: Refusal = { status: 417, detail: 'The only supported expectation is "Expect: 100-continue".' };

const problemType = 'application/problem+json';

/** Connections that close after an answer that has been sent already or is still owed. */
const ending = new WeakSet<Duplex>();

export function isEnding(connection: Duplex): boolean {
  return ending.has(connection);
}

/** @param owedTo the answers owed on a connection */
export function answerUnparsed(server: Server, owedTo: (connection: Duplex) => readonly ServerResponse[]): void {
  function refuseConnection(socket: Duplex, refusal: Refusal): void {
    if (isEnding(socket)) return;
    ending.add(socket);
    // The client would take a refusal sent at once for the answer to an earlier complete request, which may be a purchase.
    const last = owedTo(socket).findLast(({ req }) => req.complete);
    if (!last) {
      socket.end(answerText(refusal));
      return;
    }
    last.once('close', () => socket.end(() => socket.destroy()));
  }

  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy();
    else refuseConnection(socket, refusals[error.code ?? ''] ?? notHttp);
  });
  server.on('connect', (_req: IncomingMessage, socket: Duplex) => {
    // Node has removed its own listeners, including those that close silent and broken connections.
    for (const event of ['error', 'timeout', 'end']) socket.on(event, () => socket.destroy());
    socket.resume();
    refuseConnection(socket, noTunnel);
  });
  server.on('checkExpectation', (req: IncomingMessage, res: ServerResponse) => {
    sendRefusal(req, res, unknownExpectation);
  });
}

/** Refuses a request that Node's parser accepted, and closes its connection after the answer. */
export function sendLastRefusal(req: IncomingMessage, res: ServerResponse, refusal: Refusal): void {
  ending.add(req.socket);
  res.setHeader('Connection', 'close');
  sendRefusal(req, res, refusal);
}

function sendRefusal(req: IncomingMessage, res: ServerResponse, refusal: Refusal): void {
  prepareAnswer(req, res);
  sendJson(res, refusal.status, bodyOf(refusal, res.getHeader('X-Request-Id')), problemType);
}

function answerText(refusal: Refusal): string {
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

/** Only malformed HTTP gets these statuses, so they are not in the catalogue; their code is `validation`. */
function bodyOf(refusal: Refusal, requestId: unknown): object {
  const { status, detail } = refusal;
  const code = 'validation';
  return { type: `urn:onsale:problem:${code}`, title: titleOf(refusal), status, detail, code, request_id: requestId, errors: [] };
}

function titleOf({ status }: Refusal): string {
  return STATUS_CODES[status] ?? 'Bad Request';
}
