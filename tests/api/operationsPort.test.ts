/**
 * Goal: probes and metrics of a replica are answered whatever buyers do to it, until its process ends, and no buyer sees them.
 * Method: a replica with OPERATIONS_PORT in this process, and the built program, which gets SIGTERM while a purchase is under way.
 */
import { once } from 'node:events';
import { get } from 'node:http';
import { connect } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { ReplicaProcess } from '../faults/replicaProcess.js';
import { audit, buy, makeEvent, send } from '../support/client.js';
import { useDatabase } from '../support/database.js';
import { type Replica, startReplica } from '../support/replica.js';
import { untilWaiting } from '../interleavings/sessions.js';

const database = useDatabase();
let replica: Replica | undefined;
let started: ReplicaProcess | undefined;

afterEach(async () => {
  await replica?.close();
  await started?.kill();
  replica = started = undefined;
});

async function startApart(env: Record<string, string> = {}): Promise<Replica> {
  replica = await startReplica(database.url, { OPERATIONS_PORT: '0', ...env });
  return replica;
}

const operations = ['/healthz', '/readyz', '/metrics'];
const statusOf = async (url: string) => (await fetch(url)).status;

/** Holds as many connections as it is given. @returns what ends them, when each is open or has been closed by the server */
async function hold(address: string, count: number): Promise<() => void> {
  const { hostname, port } = new URL(address);
  const sockets = Array.from({ length: count }, () => connect(Number(port), hostname).on('error', () => undefined));
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  return () => {
    for (const socket of sockets) socket.destroy();
  };
}

test('where probes and metrics have a port of their own, buyers do not find them, and nothing else is on that port', async () => {
  const { address, operationsAddress } = await startApart();
  expect(operationsAddress).not.toBe(address);
  for (const path of operations) {
    expect([path, await statusOf(operationsAddress + path)]).toEqual([path, 200]);
    expect([path, await statusOf(address + path)]).toEqual([path, 404]);
  }
  for (const path of ['/events', '/admin/events', '/openapi.json', '/docs', '/']) {
    const { status, body, headers } = await send(operationsAddress + path);
    expect([path, status, body.code, headers.get('cache-control')]).toEqual([path, 404, 'not-found', 'no-store']);
  }
  const post = await send(`${operationsAddress}/healthz`, { method: 'POST' });
  expect([post.status, post.headers.get('allow')]).toEqual([405, 'GET, HEAD, OPTIONS']);
});

test('unset, they are with everything else', async () => {
  replica = await startReplica(database.url);
  for (const path of operations) expect([path, await statusOf(replica.address + path)]).toEqual([path, 200]);
});

test('whoever holds every connection of the buyers keeps no probe out', async () => {
  const { address, operationsAddress } = await startApart({ CONNECTIONS_MAX: '20' });
  const release = await hold(address, 20);
  try {
    await expect(send(`${address}/events`)).rejects.toThrow();
    for (const path of operations) expect([path, await statusOf(operationsAddress + path)]).toEqual([path, 200]);
    expect((await send(`${operationsAddress}/readyz`)).body).toEqual({ status: 'ready' });
  } finally {
    release();
  }
});

test('its own connections are bounded, and counted apart', async () => {
  const { operationsAddress, address } = await startApart({ OPERATIONS_CONNECTIONS_MAX: '3' });
  const release = await hold(operationsAddress, 3);
  await expect(send(`${operationsAddress}/healthz`)).rejects.toThrow();
  expect(await statusOf(`${address}/events`)).toBe(200);
  release();
  let text = '';
  while (text === '')
    text = await fetch(`${operationsAddress}/metrics`).then(
      (answer) => answer.text(),
      () => '',
    );
  expect(text).toMatch(/^onsale_refused_total\{reason="operations connections full"\} [1-9]/m);
  expect(text).toMatch(/^onsale_refused_total\{reason="connections full"\} 0$/m);
});

test('where a rate is set, a path that was moved away counts like every other', async () => {
  const { address, operationsAddress } = await startApart({ CLIENT_REQUESTS_PER_MINUTE_MAX: '3' });
  const statuses: number[] = [];
  for (let sent = 0; sent < 5; sent += 1) statuses.push(await statusOf(`${address}/metrics`));
  expect(statuses).toEqual([404, 404, 404, 429, 429]);
  for (let sent = 0; sent < 5; sent += 1) expect(await statusOf(`${operationsAddress}/metrics`)).toBe(200);
});

test('a replica that drains says there that it lives and is not ready, until its process ends', async () => {
  started = new ReplicaProcess('draining', database.url, { env: { OPERATIONS_PORT: '0', PURCHASE_DEADLINE_MS: '3900' } });
  await started.start();
  await started.untilReady();
  const [address, operationsAddress] = [started.address!, started.operationsAddress!];
  const eventId = await makeEvent(address, { total_quota: 10, max_purchase_limit: 4 });
  const client = await database.sql.connect();
  try {
    await client.query('BEGIN');
    await client.query(`SELECT FROM events WHERE id = '${eventId}' FOR UPDATE`);
    const underWay = buy(address, eventId, 2);
    await untilWaiting(database.sql);
    const ended = started.drain();
    // Buyers find nobody any more, and the purchase holds the process up.
    while (await accepts(address)) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(await statusOf(`${operationsAddress}/healthz`)).toBe(200);
    expect((await send(`${operationsAddress}/readyz`)).body).toMatchObject({
      status: 503,
      code: 'not-ready',
      detail: 'This replica is shutting down.',
    });
    expect(await statusOf(`${operationsAddress}/metrics`)).toBe(200);
    await client.query('ROLLBACK');
    expect((await underWay).status).toBe(201);
    expect(await ended).toBe(0);
    expect(await accepts(operationsAddress)).toBe(false);
  } finally {
    client.release();
  }
  replica = await startReplica(database.url);
  expect((await audit(replica.address, eventId)).body).toMatchObject({ sold_quantity: 2, consistent: true });
});

function accepts(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    get(address, { agent: false }, (answer) => {
      answer.resume();
      resolve(true);
    }).on('error', () => {
      resolve(false);
    });
  });
}

test('a port that is in use stops the start with a sentence that names the setting', async () => {
  replica = await startReplica(database.url);
  started = new ReplicaProcess('second', database.url, { env: { OPERATIONS_PORT: new URL(replica.address).port } });
  await expect(started.start()).rejects.toThrow('it is in use; choose another with OPERATIONS_PORT.');
});
