/**
 * Goal: the documentation costs a sale next to nothing, whoever asks for it and however it is read; and it can be switched off.
 * Method: raw sockets that do not read, conditional and compressed requests, and a replica without documentation.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { buy, makeEvent, send } from '../support/client.js';
import { useDatabase } from '../support/database.js';
import { type Replica, startReplica } from '../support/replica.js';
import { call } from './call.js';

const database = useDatabase();

async function withReplica(env: Record<string, string>, work: (replica: Replica) => Promise<void>): Promise<void> {
  const replica = await startReplica(database.url, env);
  try {
    await work(replica);
  } finally {
    await replica.close();
  }
}

const bundle = '/docs/swagger-ui-bundle.js';
const everything = ['/openapi.json', '/docs', '/docs/start.js', '/docs/swagger-ui.css', bundle];

/** Asks four times on one connection, which is more than its kernel buffers hold, and reads nothing. */
async function askWithoutReading({ address }: Replica): Promise<Socket> {
  const { hostname, port } = new URL(address);
  const socket = connect(Number(port), hostname).on('error', () => undefined);
  await once(socket, 'connect');
  socket.pause().write(`GET ${bundle} HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(4));
  return socket;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await pause(10);
}

test('answers that nobody reads share one buffer, and their connections are cut', async () => {
  await withReplica({ DOCS_IN_PROGRESS_MAX: '100', ANSWER_TAKEN_TIMEOUT_MS: '2000' }, async (replica) => {
    await call(replica.address, `GET ${bundle}`);
    const { arrayBuffers } = process.memoryUsage();
    const sockets = await Promise.all(Array.from({ length: 8 }, () => askWithoutReading(replica)));
    const owed = () => [...replica.unanswered].length;
    await until(() => owed() >= 8);
    expect(process.memoryUsage().arrayBuffers - arrayBuffers).toBeLessThan(10e6);
    await until(() => owed() === 0);
    for (const socket of sockets) socket.destroy();
  });
});

test('beyond its share the documentation is refused, while everything else is served', async () => {
  await withReplica({ DOCS_IN_PROGRESS_MAX: '4' }, async (replica) => {
    const eventId = await makeEvent(replica.address, { total_quota: 10, max_purchase_limit: 4 });
    const answers = await Promise.all(Array.from({ length: 40 }, () => fetch(replica.address + bundle)));
    const statuses = await Promise.all(
      answers.map(async (answer) => {
        const body = await answer.text();
        if (answer.status === 503) {
          expect(JSON.parse(body)).toMatchObject({ code: 'overloaded' });
          expect(answer.headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
          expect(answer.headers.get('cache-control')).toBe('no-store');
        }
        return answer.status;
      }),
    );
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(4);
    expect(statuses.filter((status) => status === 503).length).toBeGreaterThan(0);
    expect((await buy(replica.address, eventId, 1)).status).toBe(201);
    expect(await (await fetch(`${replica.address}/metrics`)).text()).toMatch(/^onsale_refused_total\{reason="docs full"\} [1-9]\d*$/m);
    await pause(1_100);
    expect((await fetch(replica.address + bundle)).status).toBe(200);
  });
});

test('everything of it is compressed for a client that takes that, and caches keep the two apart', async () => {
  await withReplica({ DOCS_IN_PROGRESS_MAX: '100' }, async ({ address }) => {
    for (const path of everything) {
      const get = (encoding: string) => fetch(address + path, { headers: { 'Accept-Encoding': encoding } });
      const [plain, zipped] = [await get('identity'), await get('gzip, br')];
      expect([path, plain.status, plain.headers.get('content-encoding')]).toEqual([path, 200, null]);
      expect([path, zipped.status, zipped.headers.get('content-encoding')]).toEqual([path, 200, 'gzip']);
      expect(await zipped.text()).toBe(await plain.text());
      expect(plain.headers.get('content-type')).toBe(zipped.headers.get('content-type'));
      for (const { headers } of [plain, zipped]) {
        expect(headers.get('vary')).toMatch(/\bAccept-Encoding\b/i);
        expect(headers.get('etag')).toMatch(/^"[\w-]+"$/);
      }
      expect(plain.headers.get('etag')).not.toBe(zipped.headers.get('etag'));
      expect((await get('gzip;q=0')).headers.get('content-encoding')).toBeNull();
    }
    const size = async (encoding: string) =>
      Number((await fetch(address + bundle, { method: 'HEAD', headers: { 'Accept-Encoding': encoding } })).headers.get('content-length'));
    expect(await size('gzip')).toBeLessThan((await size('identity')) / 3);
  });
});

test('a browser that has it already is answered 304, and asks no more', async () => {
  await withReplica({ DOCS_IN_PROGRESS_MAX: '100' }, async ({ address }) => {
    for (const path of everything) {
      const first = await fetch(address + path);
      // Without this, fetch asks for a fresh one.
      const headers = { 'Cache-Control': 'max-age=0', 'If-None-Match': first.headers.get('etag')! };
      const again = await fetch(address + path, { headers });
      expect([path, again.status, await again.text()]).toEqual([path, 304, '']);
      expect(again.headers.get('cache-control')).toBe('no-cache');
      const other = await fetch(address + path, { headers: { ...headers, 'If-None-Match': '"something-else"' } });
      expect([path, other.status]).toEqual([path, 200]);
    }
  });
});

test('with DOCS=off there is no documentation, and nothing points to it', async () => {
  await withReplica({ DOCS: 'off' }, async ({ address }) => {
    for (const path of [...everything, '/docs/', '/nothing']) {
      const { status, body } = await send(address + path);
      expect([path, status, body.code]).toEqual([path, 404, 'not-found']);
      expect(body['detail']).toBe(`There is nothing at ${path}.`);
    }
    expect((await send(`${address}/events`)).status).toBe(200);
  });
});
