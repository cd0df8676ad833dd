/** Cuts off clients that do not read their answers: each holds memory, a connection, and perhaps a place under a limit. */
import type { Server, ServerResponse } from 'node:http';

const checkEveryMs = 1_000;

/**
 * Destroys the connection of every complete answer that its client has not read within the timeout. The socket timeout does not
 * cover this: a client that reads a few bytes a minute never reaches it.
 *
 * @param unanswered the answers that clients are still owed
 */
export function cutSlowReaders(server: Server, unanswered: Iterable<ServerResponse>, timeoutMs: number): void {
  const completeAtMs = new WeakMap<ServerResponse, number>();
  const check = () => {
    const nowMs = performance.now();
    for (const res of unanswered) {
      // An answer without a socket waits for earlier answers on its connection.
      if (!res.writableEnded || !res.socket) continue;
      const sinceMs = completeAtMs.get(res);
      if (sinceMs === undefined) completeAtMs.set(res, nowMs);
      else if (nowMs - sinceMs > timeoutMs) res.socket.destroy();
    }
  };
  const timer = setInterval(check, checkEveryMs).unref();
  server.once('close', () => {
    clearInterval(timer);
  });
}
