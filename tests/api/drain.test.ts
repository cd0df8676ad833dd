/**
 * Goal: a server that stops drops nobody who has begun to ask, and does not wait for connections on which nobody asks.
 * Method: a server whose answers the test itself gives, and clients that keep their connections.
 */
import { Agent, createServer, get, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { addAcceptors } from '../../src/http/server/acceptors.js';
import { drain } from '../../src/http/server/drain.js';

let server: Server;
let agent: Agent;
let underWay: ServerResponse[];

beforeEach(async () => {
  underWay = [];
  agent = new Agent({ keepAlive: true });
  server = createServer((_req, res) => underWay.push(res));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(() => {
  agent.destroy();
  server.closeAllConnections();
});

/** @returns the status, or the code of the error; and whether the server said that it closes the connection */
function ask(): Promise<{ status?: number | undefined; error?: string | undefined; closes?: boolean }> {
  return new Promise((resolve) => {
    const { port } = server.address() as AddressInfo;
    get({ port, host: '127.0.0.1', agent }, (answer) => {
      answer.resume().on('end', () => {
        resolve({ status: answer.statusCode, closes: answer.headers.connection === 'close' });
      });
    }).on('error', (error: NodeJS.ErrnoException) => {
      resolve({ error: error.code });
    });
  });
}

async function untilUnderWay(requests: number): Promise<void> {
  while (underWay.length < requests) await new Promise((resolve) => setTimeout(resolve, 5));
}

test('who is under way is answered, idle connections are closed, and then it ends', async () => {
  const idle = ask();
  await untilUnderWay(1);
  underWay[0]!.end('first');
  await expect(idle).resolves.toEqual({ status: 200, closes: false });
  const asking = [ask(), ask()];
  await untilUnderWay(3);
  let ended = false;
  const draining = drain(server, 60_000, underWay).then(() => {
    ended = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(ended).toBe(false);
  underWay[1]!.end('second');
  underWay[2]!.end('third');
  // A client whose connection was announced to stay might send the next request just as it is closed.
  await expect(Promise.all(asking)).resolves.toEqual([
    { status: 200, closes: true },
    { status: 200, closes: true },
  ]);
  await draining;
  expect(server.listening).toBe(false);
});

test('who never gets an answer is cut off', async () => {
  const asking = ask();
  await untilUnderWay(1);
  await drain(server, 100, underWay);
  await expect(asking).resolves.toEqual({ error: 'ECONNRESET' });
});

test('who came by another acceptor is answered too, and then none of them accepts', async () => {
  const acceptors = await addAcceptors(server, 4, 64);
  const asking = Array.from({ length: 20 }, ask);
  await untilUnderWay(20);
  let ended = false;
  const draining = drain(server, 60_000, underWay, acceptors).then(() => {
    ended = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(ended).toBe(false);
  for (const answer of underWay) answer.end('done');
  expect((await Promise.all(asking)).map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200));
  await draining;
  expect(acceptors.some((acceptor) => acceptor.listening)).toBe(false);
  expect(server.listening).toBe(false);
});
