/**
 * Handles clients that half-close the connection after the request. They still read, so they get their answer. A client that has
 * disconnected looks the same until something is sent to it; then its kernel resets the connection. So the server sends the
 * first bytes of the answer early, which are the same for every answer. The first byte provokes the reset, writing another one
 * reports it, and a disconnected buyer is detected before a ticket is sold.
 */
import type { Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

const sentAhead = 'HTTP/1.1 ';
/** Each further byte is delayed twice as long as the previous one, because the reset takes a network round trip. */
const firstByteMs = 10;

/** @param owedTo the answers owed on a connection, in the order in which they will be sent */
export function probeHalfClosed(server: Server, owedTo: (connection: Socket) => readonly ServerResponse[]): void {
  server.on('connection', (socket: Socket) => {
    socket.once('end', () => {
      const [first] = owedTo(socket);
      // An answer that has begun is itself a probe; an incomplete request is refused (unparsed.ts).
      if (first?.socket === socket && first.req.complete && !first.headersSent) probe(socket);
    });
  });
}

function probe(socket: Socket): void {
  const write = socket.write.bind(socket) as (chunk: string, ...rest: unknown[]) => boolean;
  let sent = 0;
  let timer = setTimeout(sendByte, firstByteMs, firstByteMs);

  function sendByte(waitedMs: number): void {
    write(sentAhead.charAt(sent));
    sent += 1;
    if (sent < sentAhead.length) timer = setTimeout(sendByte, waitedMs, waitedMs * 2);
  }

  function stop(): void {
    clearTimeout(timer);
    socket.off('close', stop);
    socket.write = write;
  }

  socket.once('close', stop);
  // Node first writes the head of the answer, as a string.
  socket.write = (head: string, ...rest: unknown[]) => {
    stop();
    return write(head.slice(sent), ...rest);
  };
}
