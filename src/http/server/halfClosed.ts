/**
 * Clients that shut down their side of the connection after the request. They still read, so they get their answer. A
 * client that has hung up looks the same: its kernel resets the connection, but only when something is sent to it. So
 * whoever waits gets the answer's first bytes ahead, which are the same whatever it says. The first byte draws the reset,
 * writing another one reports it, and a buyer who is gone is noticed before a ticket is sold to him.
 */
import type { Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

const sentAhead = 'HTTP/1.1 ';
/** Each later byte waits twice as long as the one before, because the reset takes as long as the network. */
const firstByteMs = 10;

/** @param owedTo the answers that a connection is still owed, in the order in which they will be sent */
export function probeHalfClosed(server: Server, owedTo: (connection: Socket) => readonly ServerResponse[]): void {
  server.on('connection', (socket: Socket) => {
    socket.once('end', () => {
      const [first] = owedTo(socket);
      // An answer that has begun is a probe itself; a request that is not complete is refused (unparsed.ts).
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
  // Node writes the head of the answer first, as a string.
  socket.write = (head: string, ...rest: unknown[]) => {
    stop();
    return write(head.slice(sent), ...rest);
  };
}
