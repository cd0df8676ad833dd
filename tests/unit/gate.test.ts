import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, IncomingMessage, ServerResponse } from 'node:http';
import { type AddressInfo, connect, Socket } from 'node:net';
import { expect, jest, test } from '@jest/globals';
import { createGate, createRefuseEarly } from '../../src/http/server/gate.js';
import { Refusals } from '../../src/http/server/refusals.js';

/** A gate that refuses every purchase. */
function closedGate(refusalsPerSecondMax: number) {
  const refusals = new Refusals(refusalsPerSecondMax);
  const refuseEarly = createRefuseEarly(() => 3, refusals);
  return { ...createGate(refuseEarly, refusals, () => undefined), waiting: () => refusals.waiting };
}

test('a connection may have four requests without an answer; with the fifth it is cut', async () => {
  const underWay: ServerResponse[] = [];
  const gate = createGate(
    () => false,
    new Refusals(1),
    (_req, res) => underWay.push(res),
  );
  const server = createServer(gate.listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  try {
    const request = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
    client.on('error', () => undefined).write(request.repeat(4));
    while (underWay.length < 4) await new Promise((resolve) => setTimeout(resolve, 5));
    expect([...gate.unanswered]).toEqual(underWay);
    underWay[0]!.end('answered');
    await once(client, 'data');
    expect([...gate.unanswered]).toEqual(underWay.slice(1));
    client.write(request);
    while (underWay.length < 5) await new Promise((resolve) => setTimeout(resolve, 5));
    client.write(request);
    await once(client, 'close');
    expect(underWay).toHaveLength(5);
    expect([...gate.unanswered]).toEqual([]);
  } finally {
    client.destroy();
    server.close();
  }
});

test('refusals wait for their turn, and a client that hangs up waits no longer', async () => {
  const oneInHundredSeconds = 0.01;
  const gate = closedGate(oneInHundredSeconds);
  const server = createServer(gate.listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const [first, second, third] = [0, 1, 2].map(() => connect(port, '127.0.0.1').on('error', () => undefined));
  const request = `POST /events/${randomUUID()}/purchases HTTP/1.1\r\nHost: a\r\n\r\n`;
  const waiting = async (count: number) => {
    while (gate.waiting() !== count) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  try {
    first!.write(request);
    expect(String(await once(first!, 'data'))).toMatch(/^HTTP\/1.1 503 [^]*\r\nRetry-After: 3\r\n/);
    second!.write(request + request);
    await waiting(2);
    third!.write(request);
    await waiting(3);
    second!.destroy();
    await waiting(1);
    expect([...gate.unanswered]).toHaveLength(1);
  } finally {
    for (const client of [first, second, third]) client!.destroy();
    await waiting(0);
    server.close();
  }
});

test('refusals that were not needed are saved up for a second, and few enough are sent at once for a short turn', () => {
  jest.useFakeTimers();
  try {
    const gate = closedGate(300);
    const come = (count: number) => {
      for (let index = 0; index < count; index += 1) {
        const req = Object.assign(new IncomingMessage(new Socket()), { method: 'POST', url: `/events/${randomUUID()}/purchases` });
        gate.listener(req, new ServerResponse(req));
      }
    };
    come(1_000);
    const waiting = [1, 2, 3].map(() => {
      jest.advanceTimersByTime(5);
      return gate.waiting();
    });
    expect(waiting).toEqual([900, 800, 700]);
    jest.advanceTimersByTime(985);
    expect(gate.waiting()).toBeGreaterThan(1_000 - 605); // a second's worth saved up, and one that passed
    expect(gate.waiting()).toBeLessThan(1_000 - 590);
    jest.advanceTimersByTime(60_000);
    expect(gate.waiting()).toBe(0);
    come(1_000);
    jest.advanceTimersByTime(50);
    expect(gate.waiting()).toBeGreaterThan(1_000 - 320);
  } finally {
    jest.useRealTimers();
  }
});

test.each([
  ['POST', '/events/019aab5c-4c2e-7d0b-9a52-0d7f3a9c1e44/purchases', true],
  ['POST', '/events/019AAB5C-4c2e-7d0b-9a52-0D7F3A9C1E44/purchases', true],
  ['POST', '/events/019aab5c-4c2e-7d0b-9a52-0d7f3a9c1e44/purchases?from=poster', true],
  ['GET', '/events/019aab5c-4c2e-7d0b-9a52-0d7f3a9c1e44/purchases', false],
  ['POST', '/events/019aab5c-4c2e-7d0b-9a52-0d7f3a9c1e44/purchases/019aab5c-4c2e-7d0b-9a52-0d7f3a9c1e44/confirm', false],
  ['POST', '/events/019aab5c-4c2e-7d0b-9a52-0d7f3a9c1e4/purchases', false],
  ['POST', '/events/%3019aab5c-4c2e-7d0b-9a52-0d7f3a9c1e4/purchases', false],
  ['POST', 'http://a/events/019aab5c-4c2e-7d0b-9a52-0d7f3a9c1e44/purchases', false],
])('%s %s: is it read as a purchase? %s', (method, url, isPurchase) => {
  const asked: string[] = [];
  const passed: string[] = [];
  const gate = createGate(
    (_res, eventId) => asked.push(eventId) > 0,
    new Refusals(1),
    (req) => passed.push(req.url ?? ''),
  );
  const req = Object.assign(new IncomingMessage(new Socket()), { method, url });
  gate.listener(req, new ServerResponse(req));
  expect([asked, passed]).toEqual(isPurchase ? [['019aab5c-4c2e-7d0b-9a52-0d7f3a9c1e44'], []] : [[], [url]]);
});
