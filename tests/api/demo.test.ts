/**
 * Goal: `npm run demo` shows a sale that the audit confirms, ends with one sentence where it cannot, and leaves nothing behind.
 * Method: the script as npm runs it, against a replica of this file and with a server of its own.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { useDatabase } from '../support/database.js';
import { processesOf, until } from '../support/program.js';
import { adminToken, patientSettings } from '../support/replica.js';

const database = useDatabase();

function run(env: Record<string, string>): ChildProcess & { output: () => string } {
  const settings = { BASE_URL: '', ADMIN_TOKEN: '', NODE_OPTIONS: '', ...env };
  const child = spawn(process.execPath, ['load/demo.js'], { env: { ...process.env, ...settings }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)));
  return Object.assign(child, { output: () => output });
}

test('two thousand buyers buy what there is, and the audit agrees with their answers', async () => {
  const { address } = await database.startReplica(patientSettings);
  const demo = run({ BASE_URL: address, ADMIN_TOKEN: adminToken });
  await once(demo, 'close');
  expect(demo.output()).toContain('quota 1500 = sold 1500 + held 0 + available 0\n  tickets issued 1500\n  consistent true\n');
  expect(demo.output()).toMatch(/buyers bought 1500 tickets \(\d+ pressed twice and bought once\), \d+ were too late/);
  expect(demo.exitCode).toBe(0);
  expect(demo.output()).not.toContain('Warning');
}, 90_000);

test.each([
  ['a wrong token', { ADMIN_TOKEN: 'a-token-of-another-server' }, /^The event was not created \(401\): .*\n$/],
  ['no token', {}, /^Set ADMIN_TOKEN to the admin token of the server at BASE_URL\.\n$/],
  ['no server', { BASE_URL: 'http://127.0.0.1:1', ADMIN_TOKEN: adminToken }, /^There is no server at http:\/\/127\.0\.0\.1:1: .*\.\n$/],
])('%s is one sentence', async (_what, env, sentence) => {
  const { address } = await database.startReplica();
  const demo = run({ BASE_URL: address, ...env });
  await once(demo, 'close');
  expect(demo.output()).toMatch(sentence);
  expect(demo.exitCode).toBe(1);
});

test('Ctrl-C ends its server and removes its data', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'onsale-demo-test-'));
  await chmod(dir, 0o755); // for the account that runs Postgres when root starts onsale
  const demo = run({ TMPDIR: dir });
  await until(() => demo.output().includes(' buyers who want '), 'the first buyers');
  demo.kill('SIGINT');
  await once(demo, 'close');
  expect(demo.exitCode).toBe(130);
  expect(demo.output()).toMatch(/The demo was stopped\.\n$/);
  expect(processesOf(dir)).toEqual([]);
  await expect(readdir(dir)).resolves.toEqual([]);
  await rm(dir, { recursive: true });
}, 60_000);
