/** Connections are the first thing that runs out: bounded in number, in total and for each address, and in time. */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';

export interface ConnectionLimits {
  readonly connectionsMax: number;
  /** 0: no bound of their own. */
  readonly connectionsPerAddressMax: number;
}

/**
 * @param onRefused told of each connection that is closed at once
 * @returns how many are open
 */
export function limitConnections(server: Server, limits: ConnectionLimits, onRefused: () => void): () => number {
  let open = 0;
  const byAddress = new Map<string, number>();
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? '';
    const own = (byAddress.get(address) ?? 0) + 1;
    open += 1;
    byAddress.set(address, own);
    socket.once('close', () => {
      open -= 1;
      const left = (byAddress.get(address) ?? 0) - 1;
      if (left > 0) byAddress.set(address, left);
      else byAddress.delete(address);
    });
    if (open > limits.connectionsMax || (limits.connectionsPerAddressMax > 0 && own > limits.connectionsPerAddressMax)) {
      onRefused();
      socket.destroy();
    }
  });
  return () => open;
}
