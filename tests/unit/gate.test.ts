import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { expect, test } from '@jest/globals';
import { createGate } from '../../src/http/gate.js';

test('a connection may have four requests without an answer; with the fifth it is cut', async () => {
  const underWay: ServerResponse[] = [];
  const gate = createGate(
    () => undefined,
    1,
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

test('refusals wait for their turn, and who hangs up waits no longer', async () => {
  const oneInHundredSeconds = 0.01;
  const gate = createGate(
    () => 3,
    oneInHundredSeconds,
    () => undefined,
  );
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
