/**
 * Goal: a server with more acceptors takes many waiting connections in one turn of the event loop.
 * Method: another thread connects while this one blocks, so that all connections wait when the event loop goes on, however
 * busy the machine is; counted are the turns in which a connection was accepted.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { addAcceptors } from '../../src/http/server/acceptors.js';

let server: Server;
let clients: Worker | undefined;

beforeEach(async () => {
  server = createServer((socket) => socket.on('error', () => undefined).resume()); // a socket that is not read does not see its client go
  await new Promise<void>((resolve) => server.listen({ port: 0, host: '127.0.0.1', backlog: 256 }, resolve));
});

afterEach(async () => {
  await clients?.terminate();
  clients = undefined;
  server.close();
});

const connectAll = `
  const { workerData: { port, count, connected } } = require('node:worker_threads');
  for (let made = 0; made < count; made += 1) {
    require('node:net').connect(port, '127.0.0.1', () => {
      Atomics.add(connected, 0, 1);
      Atomics.notify(connected, 0);
    });
  }`;

/** Blocks the event loop until that many connections wait to be accepted. */
function blockUntilConnected(count: number): void {
  const { port } = server.address() as AddressInfo;
  const connected = new Int32Array(new SharedArrayBuffer(4));
  clients = new Worker(connectAll, { eval: true, execArgv: [], workerData: { port, count, connected } });
  for (let seen = 0; seen < count; seen = Atomics.load(connected, 0)) {
    if (Atomics.wait(connected, 0, seen, 20_000) === 'timed-out') throw new Error(`only ${String(seen)} connections came`);
  }
}

/** @returns the turns of the event loop that accepted any of them */
async function turnsToAccept(connections: number): Promise<number> {
  const turns = new Set<number>();
  let [turn, accepted] = [0, 0];
  const nextTurn = () => {
    turn += 1;
    if (accepted < connections) setImmediate(nextTurn);
  };
  const all = new Promise<void>((resolve) => {
    server.on('connection', () => {
      accepted += 1;
      turns.add(turn);
      if (accepted === connections) resolve();
    });
  });
  setImmediate(nextTurn);
  blockUntilConnected(connections);
  await all;
  return turns.size;
}

// Should this fail, Node accepts more by itself, and src/http/server/acceptors.ts can go.
test('by itself, a server accepts one connection in each turn of the event loop', async () => {
  expect(await turnsToAccept(64)).toBeGreaterThanOrEqual(60);
});

test('with more acceptors it accepts as many as there are, and no more once all are closed', async () => {
  const acceptors = await addAcceptors(server, 31, 256);
  expect(acceptors).toHaveLength(31);
  expect(await turnsToAccept(64)).toBeLessThan(20);

  const { port } = server.address() as AddressInfo;
  for (const each of [server, ...acceptors]) each.close();
  const late = connect(port, '127.0.0.1');
  const [error] = (await once(late, 'error')) as [NodeJS.ErrnoException];
  expect(error.code).toBe('ECONNREFUSED');
});
