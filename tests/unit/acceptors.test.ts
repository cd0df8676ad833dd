import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { addAcceptors } from '../../src/http/server/acceptors.js';

let server: Server;
const clients: Socket[] = [];

beforeEach(async () => {
  server = createServer((socket) => socket.on('error', () => undefined));
  await new Promise<void>((resolve) => server.listen({ port: 0, host: '127.0.0.1', backlog: 256 }, resolve));
});

afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
  server.close();
});

/** @returns the turns of the event loop between the first and the last of them */
async function turnsToAccept(connections: number): Promise<number> {
  let [turns, first] = [0, 0];
  let accepted = 0;
  const count = () => {
    turns += 1;
    if (accepted < connections) setImmediate(count);
  };
  const all = new Promise<void>((resolve) => {
    server.on('connection', () => {
      accepted += 1;
      if (accepted === 1) first = turns;
      if (accepted === connections) resolve();
    });
  });
  setImmediate(count);
  const { port } = server.address() as AddressInfo;
  for (let made = 0; made < connections; made += 1) clients.push(connect(port, '127.0.0.1'));
  await all;
  return turns - first;
}

// Should this fail, Node has learnt it, and src/http/server/acceptors.ts can go.
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
