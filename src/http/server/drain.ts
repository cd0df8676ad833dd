/** Graceful shutdown: no request that has begun to arrive is dropped. */
import type { Server, ServerResponse } from 'node:http';
import type { Server as Acceptor } from 'node:net';
import { setImmediate as afterPoll, setTimeout as pause } from 'node:timers/promises';

/** How often connections that have become idle are closed. */
const closeEveryMs = 50;

/**
 * Stops accepting connections, answers the requests on the open ones, and closes each connection when it is idle.
 *
 * A connection looks idle while its request is still in the kernel's buffer, and closing it would reset the request. So
 * connections are closed right after the event loop has polled.
 *
 * @param cutOffMs the time after which connections are closed even if answers are owed on them
 * @param unanswered the answers that are owed; each tells its client with `Connection: close` to send nothing more
 * @param acceptors the servers that accept connections for `server`
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
    await pause(closeEveryMs);
    await afterPoll();
    if (performance.now() < cutOffAtMs) server.closeIdleConnections();
    else server.closeAllConnections();
  }
}
