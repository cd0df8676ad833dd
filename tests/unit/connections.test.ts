/**
 * Goal: no address takes all connections, and buyers who share one by right are not kept out.
 * Method: the limits of real configurations, and connections that say themselves where they come from.
 */
import { EventEmitter } from 'node:events';
import { createServer } from 'node:http';
import { expect, test } from '@jest/globals';
import { readConfig } from '../../src/config.js';
import { limitConnections } from '../../src/http/server/connections.js';

class Connection extends EventEmitter {
  destroyed = false;
  constructor(readonly remoteAddress: string) {
    super();
  }
  destroy(): void {
    this.destroyed = true;
    this.emit('close');
  }
}

function serverWith(env: Record<string, string>) {
  const config = readConfig(env);
  const server = createServer(); // never listens
  const refused: string[] = [];
  const limits = {
    connectionsMax: config.CONNECTIONS_MAX,
    connectionsPerAddressMax: config.CONNECTIONS_PER_ADDRESS_MAX,
    connectionsPerLoopbackAddressMax: config.connectionsPerLoopbackAddressMax,
  };
  const open = limitConnections(server, limits, (reason) => refused.push(reason));
  const connect = (address: string) => {
    const connection = new Connection(address);
    server.emit('connection', connection);
    return connection;
  };
  /** @returns how many of them stay */
  const connectMany = (address: string, count: number) =>
    Array.from({ length: count }, () => connect(address)).filter((each) => !each.destroyed).length;
  return { connect, connectMany, open, refused };
}

test('by default one address has an eighth of all connections, and the others are for everybody else', () => {
  const { connectMany, open, refused } = serverWith({});
  expect(connectMany('203.0.113.7', 15_000)).toBe(1_875);
  expect(new Set(refused)).toEqual(new Set(['address connections full']));
  expect(connectMany('203.0.113.8', 1_000)).toBe(1_000);
  expect(open()).toBe(2_875);
});

test('addresses of one IPv6 customer are one address, and a mapped IPv4 address is itself', () => {
  const { connectMany, connect } = serverWith({ CONNECTIONS_PER_ADDRESS_MAX: '2' });
  expect(connectMany('2001:db8:1:200::1', 1) + connectMany('2001:db8:1:2ff::7', 5)).toBe(2);
  expect(connectMany('2001:db8:1:300::1', 1)).toBe(1);
  expect(connectMany('::ffff:203.0.113.7', 1) + connectMany('203.0.113.7', 5)).toBe(2);
  expect(connect('fe80::1%eth0').destroyed).toBe(false);
});

test('who closes a connection may open another', () => {
  const { connect } = serverWith({ CONNECTIONS_PER_ADDRESS_MAX: '1' });
  const first = connect('203.0.113.7');
  expect(connect('203.0.113.7').destroyed).toBe(true);
  first.destroy();
  expect(connect('203.0.113.7').destroyed).toBe(false);
});

test.each(['127.0.0.1', '127.0.0.2', '::1', '::ffff:127.0.0.1'])(
  '%s is the machine itself, and has most connections, but not all',
  (address) => {
    expect(serverWith({}).connectMany(address, 15_000)).toBe(12_000);
  },
);

test.each([['203.0.113.7'], ['127.0.0.1']])('a proxy that is trusted, at %s, has no bound but that of all', (address) => {
  const { connectMany, refused } = serverWith({ TRUST_PROXY_HOPS: '1' });
  expect(connectMany(address, 15_001)).toBe(15_000);
  expect(refused).toEqual(['connections full']);
});

test.each([
  [{ TRUST_PROXY_HOPS: '1' }, '203.0.113.7'],
  [{}, '127.0.0.1'],
])('a bound that is set holds for everybody: %j %s', (env, address) => {
  expect(serverWith({ ...env, CONNECTIONS_PER_ADDRESS_MAX: '5' }).connectMany(address, 10)).toBe(5);
});
