/**
 * Goal: the balancer never turns one purchase into two, says what it has to say as the API does, and finds replicas by name.
 * Method: HAProxy with the file that compose uses; rows and tables locked by another session, so that requests are under way
 * when their replica is killed; and a name server that answers as Docker's does.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, expect } from '@jest/globals';
import { freePort } from '../faults/postgres.js';
import { type Answer, buy, send } from '../support/client.js';
import { Company, testWithHaproxy } from './company.js';
import { NameServer } from './nameServer.js';

let company: Company;
let nameServer: NameServer;
beforeEach(async () => {
  nameServer = await NameServer.open();
});
afterEach(async () => {
  await company.close();
  nameServer.close();
});

function expectProblem({ status, headers, body }: Answer, code: string): void {
  expect([status, body.code, headers.get('content-type')]).toEqual([503, code, 'application/problem+json']);
  expect(body).toMatchObject({ type: `urn:onsale:problem:${code}`, status: 503, request_id: headers.get('x-request-id') });
  expect(headers.get('retry-after')).toBe('1');
  expect(headers.get('cache-control')).toBe('no-store');
}

const inLine = 12;

testWithHaproxy('without a replica the answer is 503 overloaded, with the id that the caller gave', async () => {
  company = await Company.open(0);
  expectProblem(await buy(company.address, randomUUID(), 1), 'overloaded');
  const { headers, body } = await send(`${company.address}/events`, { headers: { 'X-Request-Id': 'mine-1' } });
  expect([headers.get('x-request-id'), body['request_id']]).toEqual(['mine-1', 'mine-1']);
});

/**
 * Requests that wait in the first replica for what the statement locks, when it is killed; the second has just been admitted
 * and could serve them.
 */
async function whoseReplicaIsKilled(
  lock: (eventId: string) => [string, unknown[]],
  ask: (eventId: string) => Promise<Answer>,
  file?: string,
) {
  company = await Company.open(1, file === undefined ? {} : { file });
  const second = await company.start('replica 2');
  const [event] = await company.stage.makeEvents([{ quota: 100, limit: 4 }]);
  const asking: Promise<Answer>[] = [];
  await company.stage.postgres.session(async (client) => {
    await client.query('BEGIN');
    await client.query(...lock(event!.id));
    for (let index = 0; index < inLine; index += 1) asking.push(ask(event!.id));
    await pause(150);
    await company.admit(2, second);
    await company.replica(1).kill();
    await pause(150);
    await client.query('ROLLBACK');
  });
  return Promise.all(asking);
}

const purchasesWhoseReplicaIsKilled = (file?: string) =>
  whoseReplicaIsKilled(
    (id) => ['SELECT FROM events WHERE id = $1 FOR UPDATE', [id]],
    (id) => buy(company.address, id, 1),
    file,
  );

testWithHaproxy('a purchase that was under way when its replica was killed is sent to nobody else', async () => {
  const answers = await purchasesWhoseReplicaIsKilled();
  expect(answers).toHaveLength(inLine);
  for (const answer of answers) expectProblem(answer, 'outcome-unknown');
});

testWithHaproxy('a balancer that repeats everything sends it to another, which sells a second time: the test above can fail', async () => {
  const careless = join(process.env['FAULT_DIR']!, 'careless.cfg');
  await writeFile(
    careless,
    (await readFile('deploy/haproxy.cfg', 'utf8')).replace('http-request disable-l7-retry', 'http-request set-nice 0'),
  );
  const answers = await purchasesWhoseReplicaIsKilled(careless);
  expect(answers.some(({ status }) => status === 201)).toBe(true);
});

testWithHaproxy('a read that was under way when its replica was killed is answered by another', async () => {
  const answers = await whoseReplicaIsKilled(
    () => ['LOCK TABLE events IN ACCESS EXCLUSIVE MODE', []],
    (id) => send(`${company.address}/events/${id}`),
  );
  expect(answers.map(({ status, body }) => [status, body['available_quantity']])).toEqual(answers.map(() => [200, 100]));
});

testWithHaproxy('replicas that do not listen yet, as a name server may tell them, cost nobody an answer', async () => {
  company = await Company.open(1);
  const [event] = await company.stage.makeEvents([{ quota: 100, limit: 4 }]);
  const starting = Array.from({ length: 10 }, async (_, index) => {
    const nobody = `http://127.0.0.1:${String(await freePort())}`;
    await company.balancer.add(2 + index, nobody, nobody);
  });
  const buying = Array.from({ length: 40 }, () => buy(company.address, event!.id, 1));
  await Promise.all(starting);
  expect(new Set((await Promise.all(buying)).map(({ status }) => status))).toEqual(new Set([201]));
  for (let index = 0; index < 40; index += 1) expect((await buy(company.address, event!.id, 1)).status).toBe(201);
});

testWithHaproxy('replicas are found by name, as in compose: a new one gets requests, and one whose name is gone gets none', async () => {
  const [port, operationsPort] = [String(await freePort()), String(await freePort())];
  const env = { REPLICAS_DNS: nameServer.address, REPLICAS_NAME: `api:${port}`, REPLICAS_OPERATIONS_PORT: operationsPort };
  company = await Company.open(0, { env });
  const start = async (host: string) => {
    const replica = await company.start(host, { env: { HOST: host, PORT: port, OPERATIONS_PORT: operationsPort } });
    nameServer.addresses.add(host);
    return replica;
  };
  const found = async (count: number) => {
    const deadline = Date.now() + 10_000;
    for (;;) {
      const up = (await company.balancer.standings()).filter(({ status }) => status.startsWith('UP'));
      if (up.length === count) return;
      if (Date.now() > deadline) throw new Error(`found: ${JSON.stringify(up)}`);
      await pause(50);
    }
  };
  const statuses = async () =>
    new Set((await Promise.all(Array.from({ length: 20 }, () => send(`${company.address}/events`)))).map(({ status }) => status));
  const [first] = await Promise.all([start('127.0.0.2'), start('127.0.0.3')]);
  await found(2);
  expect(await statuses()).toEqual(new Set([200]));
  await start('127.0.0.4');
  await found(3);
  const drained = first.drain();
  const whileDraining: Set<number>[] = [];
  while (first.running) whileDraining.push(await statuses());
  await drained;
  nameServer.addresses.delete('127.0.0.2');
  await found(2);
  expect(whileDraining.concat(await statuses())).toEqual(whileDraining.concat(new Set([200])).map(() => new Set([200])));
});

const metricsSpelled = (host: string) => [
  '/metrics',
  '/metrics?',
  '/metrics/',
  '/metrics#',
  '/metrics#/events',
  '//metrics',
  '/./metrics',
  '/%6detrics',
  '/%4Detrics',
  '/METRICS',
  `http://${host}/metrics`,
  `http://${host}/metrics#`,
  'http:///metrics',
  'ftp:///metrics',
  `http://${host}\\metrics`,
  '\\metrics',
];

/** @returns what is answered to the bytes, as far as it comes */
async function ask(target: string): Promise<string> {
  const { host, hostname, port } = new URL(company.address);
  const socket = connect(Number(port), hostname).on('error', () => undefined);
  socket.end(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  let answer = '';
  socket.on('data', (chunk) => (answer += String(chunk)));
  await once(socket, 'close');
  return answer;
}

testWithHaproxy.each([
  ['have a port of their own', {}],
  ['are on the port of buyers', { OPERATIONS_PORT: '' }],
])('no buyer sees metrics, however the path is spelled, where they %s', async (_where, env) => {
  company = await Company.open(0);
  await company.add(1, { env });
  await company.untilStanding(1, (status) => status.startsWith('UP'));
  for (const target of metricsSpelled(new URL(company.address).host)) {
    const answer = await ask(target);
    expect([target, answer]).toEqual([target, expect.stringMatching(/^HTTP\/1\.1 (404|400) /)]);
    expect(answer).not.toContain('onsale_');
  }
  const { status, headers, body } = await send(`${company.address}/metrics`);
  expect([status, body.code, headers.get('content-type')]).toEqual([404, 'not-found', 'application/problem+json']);
  expect(body['request_id']).toBe(headers.get('x-request-id'));
  expect((await send(`${company.address}/events?limit=1`)).status).toBe(200);
  // Where they may be seen.
  expect(await (await fetch(`${company.replica(1).operationsAddress!}/metrics`)).text()).toContain('onsale_purchases_total');
});

testWithHaproxy('a replica is asked on its own port whether it is ready, and the balancer says whether there is one', async () => {
  const metrics = `127.0.0.1:${String(await freePort())}`;
  company = await Company.open(1, { env: { BALANCER_METRICS: metrics } });
  await company.untilStanding(1, (status) => status.startsWith('UP'));
  expect((await fetch(`http://${metrics}/readyz`)).status).toBe(200);
  expect((await send(`${company.address}/readyz`)).status).toBe(404);
  await company.kill(1);
  expect((await fetch(`http://${metrics}/readyz`)).status).toBe(503);
});
