/** Stopping without dropping anybody who has begun to ask. */
import type { Server, ServerResponse } from 'node:http';
import type { Server as Acceptor } from 'node:net';
import { setImmediate as afterPoll, setTimeout as pause } from 'node:timers/promises';

/** Between two looks for connections that have become idle. */
const lookEveryMs = 50;

/**
 * Accepts no more connections, answers what was asked on those that are open, and closes each when it is idle.
 *
 * What the kernel has received and the event loop has not read yet looks idle, and closing it would reset a request. So
 * everything is closed right after the loop has polled.
 *
 * @param cutOffMs when even those are closed that still have no answer
 * @param unanswered the answers that are owed: each tells its client to send nothing more on its connection
 * @param acceptors that accept connections for the server
 */
export async function drain(
  server: Server,
  cutOffMs: number,
  unanswered: Iterable<ServerResponse>,
  acceptors: readonly Acceptor[] = [],
): Promise<void> {
  const cutOffAtMs = performance.now() + cutOffMs;
  const closeAfter = (res: ServerResponse) => res.headersSent || res.setHeader('Connection', 'close');
  server.prependListener('request', (_req, res) => closeAfter(res));
  for (const res of unanswered) closeAfter(res);
  await afterPoll();
  const open = new Set<Acceptor>([server, ...acceptors]);
  for (const each of [...open]) each.close(() => open.delete(each));
  while (open.size > 0) {
    await pause(lookEveryMs);
    await afterPoll();
    if (performance.now() < cutOffAtMs) server.closeIdleConnections();
    else server.closeAllConnections();
  }
}
