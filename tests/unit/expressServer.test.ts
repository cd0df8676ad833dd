import { createServer, IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from '@jest/globals';
import express from 'express';
import { createExpressServer } from '../../src/http/server/expressServer.js';

test('requests and responses are made as Express wants them, so that it changes no prototype', async () => {
  const app = express();
  app.get('/', (req, res) => {
    res.json({ ip: req.ip, app: req.app === app && res.app === app });
  });
  const changed: unknown[] = [];
  const server = createExpressServer(app, (req, res) => {
    const before = [Object.getPrototypeOf(req), Object.getPrototypeOf(res)];
    app(req, res);
    changed.push([Object.getPrototypeOf(req) !== before[0], Object.getPrototypeOf(res) !== before[1]]);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const answer = await fetch(`http://127.0.0.1:${String((server.address() as AddressInfo).port)}/`);
    expect(await answer.json()).toEqual({ ip: '127.0.0.1', app: true });
    expect(changed).toEqual([[false, false]]);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

// Should this fail, Express does without it, and src/http/server/expressServer.ts can be a plain createServer.
test('by itself, Express changes the prototype of each request and response', async () => {
  const app = express();
  const changed: boolean[] = [];
  app.get('/', (req, res) => {
    changed.push(Object.getPrototypeOf(req) !== IncomingMessage.prototype, Object.getPrototypeOf(res) !== ServerResponse.prototype);
    res.end();
  });
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await fetch(`http://127.0.0.1:${String((server.address() as AddressInfo).port)}/`);
    expect(changed).toEqual([true, true]);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
