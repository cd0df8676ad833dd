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
