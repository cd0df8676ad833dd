/** Clients that do not take their answers: each keeps memory, a connection and perhaps a place in a share until it is cut off. */
import type { Server, ServerResponse } from 'node:http';

const lookEveryMs = 1_000;

/**
 * Destroys the connection of every answer that was given completely and has not been taken after the timeout. The socket
 * timeout does not do that: whoever takes a few bytes a minute never reaches it.
 *
 * @param unanswered the answers that are owed to clients
 */
export function cutSlowReaders(server: Server, unanswered: Iterable<ServerResponse>, timeoutMs: number): void {
  const givenAtMs = new WeakMap<ServerResponse, number>();
  const look = () => {
    const nowMs = performance.now();
    for (const res of unanswered) {
      // Without a socket it is not its turn on its connection yet.
      if (!res.writableEnded || !res.socket) continue;
      const sinceMs = givenAtMs.get(res);
      if (sinceMs === undefined) givenAtMs.set(res, nowMs);
      else if (nowMs - sinceMs > timeoutMs) res.socket.destroy();
    }
  };
  const timer = setInterval(look, lookEveryMs).unref();
  server.once('close', () => {
    clearInterval(timer);
  });
}
