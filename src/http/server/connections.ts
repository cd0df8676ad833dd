/** Connections are the first thing that runs out: bounded in number, in total and for each address, and in time. */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { ipKeyGenerator } from 'express-rate-limit';

export interface ConnectionLimits {
  readonly connectionsMax: number;
  /** 0: no bound. IPv6 addresses are counted by their /56, which is what one customer commonly has. */
  readonly connectionsPerAddressMax: number;
  /** The same for each of 127.0.0.0/8 and ::1. */
  readonly connectionsPerLoopbackAddressMax: number;
}

export type ConnectionRefusal = 'connections full' | 'address connections full';

const loopback = /^(?:::ffff:)?127\.|^::1$/;

/**
 * @param onRefused told of each connection that is closed at once, and of whose it is
 * @returns how many are open
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
