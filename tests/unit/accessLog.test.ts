/**
 * Goal: the access log has one line for each request, also one whose client has gone, and never a secret.
 * Method: a server whose answers the test gives, and the file that the log writes; paths in every spelling that a router may accept.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type AccessLog, openAccessLog, pathWithoutSecrets } from '../../src/observability/accessLog.js';

const event = '01a20fee-e497-70b4-b553-402b6aa61901';
const secret = '019aab5c-4c2e-7d0b-9a52-0d7f3a9c1e44';

let dir: string;
let log: AccessLog;
let server: Server | undefined;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'onsale-access-'));
  log = openAccessLog(join(dir, 'log'));
});
afterEach(async () => {
  server?.closeAllConnections();
  await new Promise<unknown>((resolve) => {
    if (server) server.close(resolve);
    else resolve(undefined);
  });
  server = undefined;
  await rm(dir, { recursive: true });
});

async function serve(listener: RequestListener): Promise<number> {
  const created = createServer(log.wrap(listener, () => '192.0.2.7'));
  server = created;
  await new Promise<void>((resolve) => created.listen(0, '127.0.0.1', resolve));
  return (created.address() as AddressInfo).port;
}

/** Waits for the log to have this number of lines. */
async function linesOf(count: number): Promise<Record<string, unknown>[]> {
  for (;;) {
    const lines = (await readFile(join(dir, 'log'), 'utf8')).split('\n').filter((line) => line !== '');
    if (lines.length >= count) return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('a request is one line: method, path without its query, status, duration, request id and address', async () => {
  const port = await serve((_req, res) => {
    res.setHeader('X-Request-Id', 'mine').writeHead(404).end('no');
  });
  const answer = await fetch(`http://127.0.0.1:${String(port)}/admin/events/${event}/purchases?reference=secret`, { method: 'POST' });
  await answer.text();
  log.close();
  const lines = await linesOf(1);
  expect(lines).toMatchObject([
    { method: 'POST', path: `/admin/events/${event}/purchases`, status: 404, complete: true, request_id: 'mine', address: '192.0.2.7' },
  ]);
  expect(Number(lines[0]!['duration_ms'])).toBeGreaterThanOrEqual(0);
});

test('requests whose client has gone are one line each, without a status, and the log is written without being closed', async () => {
  let begun = 0;
  const port = await serve(() => (begun += 1));
  const client = connect(port, '127.0.0.1');
  client.write('GET /first HTTP/1.1\r\nHost: a\r\n\r\nGET /second HTTP/1.1\r\nHost: a\r\n\r\n');
  while (begun < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  client.destroy();
  const lines = await linesOf(2);
  expect(lines.map(({ path, status, complete }) => [path, status, complete]).sort()).toEqual([
    ['/first', null, false],
    ['/second', null, false],
  ]);
  log.close();
});

test.each([
  [`/events/${event}`, `/events/${event}`],
  [`/events/${event}/purchases`, `/events/${event}/purchases`],
  [`/events/${event}/purchases/${secret}`, `/events/${event}/purchases/{purchase_id}`],
  [`/events/${event}/purchases/${secret}/confirm?a=b`, `/events/${event}/purchases/{purchase_id}/confirm`],
  [`/admin/events/${event}/purchases/${secret}/cancel`, `/admin/events/${event}/purchases/{purchase_id}/cancel`],
  [`/events/${event}/%70urchases/${secret.replace('0', '%30')}`, `/events/${event}/purchases/{purchase_id}`],
  [`/events/${event}\\purchases\\${secret}`, `/events/${event}\\purchases\\{purchase_id}`],
  [`http://shop.example/events/${event}/purchases/${secret}`, `http://shop.example/events/${event}/purchases/{purchase_id}`],
  [`/events/${event}/purchase/${secret}`, `/events/${event}/purchase/{id}`],
  [`/${secret}/events/${event}`, '/{id}/events/{id}'],
  [`/purchases/${secret.toUpperCase()}`, '/purchases/{purchase_id}'],
  [`/events/${event}/purchases/not-an-id`, `/events/${event}/purchases/{purchase_id}`],
  ['/%zz', '{unreadable}'],
  ['/?key=value', '/'],
  ['/#fragment', '/'],
])('%s is logged as %s', (target, path) => {
  log.close();
  expect(pathWithoutSecrets(target)).toBe(path);
});

test('a long path is cut', () => {
  log.close();
  expect(pathWithoutSecrets(`/${'a'.repeat(10_000)}`)).toBe(`/${'a'.repeat(199)}`);
});
