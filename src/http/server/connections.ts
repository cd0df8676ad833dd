/** Limits the open connections, in total and per address, because connections are the first resource to run out. */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { ipKeyGenerator } from 'express-rate-limit';

export interface ConnectionLimits {
  readonly connectionsMax: number;
  /** 0: no limit. IPv6 addresses are counted by /56, the usual allocation of one customer. */
  readonly connectionsPerAddressMax: number;
  /** The limit of each loopback address (127.0.0.0/8 and ::1). */
  readonly connectionsPerLoopbackAddressMax: number;
}

export type ConnectionRefusal = 'connections full' | 'address connections full';

const loopback = /^(?:::ffff:)?127\.|^::1$/;

/**
 * @param onRefused called for each connection that is closed at once, with its address
 * @returns a function that returns the number of open connections
 */
export function limitConnections(
  server: Server,
  limits: ConnectionLimits,
  onRefused: (reason: ConnectionRefusal, address: string) => void,
): () => number {
  let open = 0;
  const byAddress = new Map<string, number>();
  const maxOf = (address: string) =>
    (loopback.test(address) ? limits.connectionsPerLoopbackAddressMax : limits.connectionsPerAddressMax) || Infinity;

  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? '';
    const key = loopback.test(address) ? address : ipKeyGenerator(address);
    const own = (byAddress.get(key) ?? 0) + 1;
    open += 1;
    byAddress.set(key, own);
    socket.once('close', () => {
      open -= 1;
      const left = (byAddress.get(key) ?? 0) - 1;
      if (left > 0) byAddress.set(key, left);
      else byAddress.delete(key);
    });
    const reason = own > maxOf(address) ? 'address connections full' : open > limits.connectionsMax ? 'connections full' : undefined;
    if (reason === undefined) return;
    onRefused(reason, address);
    socket.destroy();
  });
  return () => open;
}
