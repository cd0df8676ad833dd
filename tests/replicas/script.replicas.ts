/**
 * Goal: `npm run replicas -- 3` is all that a developer needs, and leaves nothing behind.
 * Method: the script as npm runs it, on an embedded Postgres of its own; what it prints, its processes, its end.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { adminToken } from '../support/replica.js';
import { audit, buy, makeEvent, send } from '../support/client.js';
import { processesOf } from '../support/program.js';
import { testWithHaproxy } from './company.js';

let dataDir: string;
let script: ChildProcess | undefined;
let output = '';

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'onsale-script-'));
  await chmod(dataDir, 0o755);
  output = '';
});
afterEach(async () => {
  if (script?.exitCode === null && script.signalCode === null) await stop('SIGINT');
  await rm(dataDir, { recursive: true, force: true });
});

function run(args: string[], env: Record<string, string> = {}): void {
  const settings = { PORT: '0', ADMIN_TOKEN: adminToken, EMBEDDED_DATA_DIR: dataDir, DATABASE_URL: '', NODE_OPTIONS: '', ...env };
  script = spawn(process.execPath, ['deploy/replicas.js', ...args], {
    env: { ...process.env, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [script.stdout, script.stderr]) stream?.on('data', (chunk) => (output += String(chunk)));
}

/** @returns what it ended with */
async function ended(): Promise<number | null> {
  if (script?.exitCode === null && script.signalCode === null) await once(script, 'exit', { signal: AbortSignal.timeout(45_000) });
  return script?.exitCode ?? null;
}

function stop(signal: NodeJS.Signals): Promise<number | null> {
  script?.kill(signal);
  return ended();
}

async function until<T>(find: () => T | null | undefined, what: string): Promise<T> {
  const deadline = Date.now() + 40_000;
  for (;;) {
    const found = find();
    if (found !== null && found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`${what} did not come: ${output}`);
    await pause(50);
  }
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

const pids = () => [...output.matchAll(/process (\d+)/g)].map(([, pid]) => Number(pid));
const replicaLine = /(http:\S+) {2}replica (\d), process (\d+), its probes and metrics on (http:\S+)/g;

testWithHaproxy('three replicas sell behind one address, one that is killed is started again, and Ctrl-C ends them all', async () => {
  run(['3']);
  const [, address] = await until(() => /onsale is on (http:\S+),[^]*Ctrl-C/.exec(output), 'the greeting');
  expect(output).toContain('The admin token is that of ADMIN_TOKEN\n'); // which is a secret of whoever set it
  expect(output).not.toContain(adminToken);
  const replicas = [...output.matchAll(replicaLine)].map(([, own, , pid]) => ({ own: own!, pid: Number(pid) }));
  expect(replicas).toHaveLength(3);
  const operations = [...output.matchAll(replicaLine)].map(([, , , , operationsAddress]) => operationsAddress!);
  expect(new Set(operations).size).toBe(3);
  for (const each of operations) expect((await fetch(`${each}/metrics`)).status).toBe(200);
  for (const path of ['/metrics', '/healthz', '/readyz']) {
    for (const own of [address!, replicas[0]!.own]) expect((await fetch(own + path)).status).toBe(404);
  }
  const event = await makeEvent(address!, { total_quota: 100, max_purchase_limit: 4 });
  for (const { own } of [...replicas, { own: address! }]) expect((await buy(own, event, 2)).status).toBe(201);

  process.kill(replicas[0]!.pid, 'SIGKILL');
  await until(() => /replica 1 \(process \d+\) ended by SIGKILL; another is started/.exec(output), 'the news');
  expect((await buy(address!, event, 2)).status).toBe(201);
  const [, again] = await until(() => /replica 1 is back: (\S+), process \d+/.exec(output), 'its return');
  expect((await buy(again!, event, 2)).status).toBe(201);
  expect((await audit(again!, event)).body).toMatchObject({ sold_quantity: 12, tickets_issued: 12, consistent: true });

  expect(await stop('SIGINT')).toBe(0);
  await expect(send(address!)).rejects.toThrow();
  expect(new Set(pids()).size).toBe(5);
  expect(pids().filter(lives)).toEqual([]);
});

test('without HAProxy each replica has its own address, and SIGTERM ends them all', async () => {
  run(['2'], { PATH: dataDir });
  await until(() => /Ctrl-C/.exec(output), 'the greeting');
  expect(output).toContain('no haproxy on PATH');
  const addresses = [...output.matchAll(replicaLine)].map(([, own]) => own!);
  expect(addresses).toHaveLength(2);
  const event = await makeEvent(addresses[0]!, { total_quota: 10, max_purchase_limit: 4 });
  expect((await buy(addresses[1]!, event, 2)).status).toBe(201);
  expect(await stop('SIGTERM')).toBe(0);
  expect(pids().filter(lives)).toEqual([]);
});

test('SIGTERM while the database is being made leaves nothing behind', async () => {
  run(['2']);
  await until(() => readdirSync(dataDir).find((name) => /^cluster\.\d+$/.test(name)), 'the cluster');
  expect(await stop('SIGTERM')).toBe(0);
  expect(output).toBe('onsale was asked to stop (SIGTERM) while it was starting.\n');
  expect(processesOf(dataDir)).toEqual([]);
});

test.each([
  [['0'], {}, 'How many replicas? One number from 1 to 20'],
  [['21'], {}, 'How many replicas? One number from 1 to 20'],
  [['three'], {}, 'How many replicas? One number from 1 to 20'],
  [['2', '3'], {}, 'How many replicas? One number from 1 to 20'],
  [['2'], { PORT: 'x' }, 'PORT must be a whole number'],
  [['2'], { DATABASE_URL: 'postgresql://localhost/x', ADMIN_TOKEN: '' }, 'ADMIN_TOKEN is required'],
])('%j with %j is refused with one sentence', async (args, env, sentence) => {
  run(args, env);
  expect(await ended()).toBe(1);
  expect(output.trim().split('\n')).toEqual([expect.stringContaining(sentence)]);
});
