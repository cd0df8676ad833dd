/**
 * Goal: a start that is interrupted leaves nothing running, and what an interrupted one left does not stop the next.
 * Method: the built program on directories of its own; signals at moments that its files tell, and at many others.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { unprivilegedAccount } from '../../src/db/embedded/dataDir.js';
import { send } from '../support/client.js';
import {
  embeddedUrl,
  failure,
  processesOf,
  startAndStop,
  startProgram,
  stopProgram,
  stopPrograms,
  until,
  untilGreeted,
} from '../support/program.js';

const token = 'a-token-of-the-environment';
let base: string;
/** With a cluster, and no server between tests. */
let kept: string;
let fresh = 0;
const freshDir = () => join(base, `fresh-${String((fresh += 1))}`);
const lockFile = () => join(kept, 'cluster', 'postmaster.pid');

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'onsale-start-'));
  spawnSync('chmod', ['755', base]);
  kept = freshDir();
  await startAndStop(kept);
});
afterAll(async () => {
  await stopPrograms();
  await rm(base, { recursive: true });
});

test.each([
  ['initdb works', (dir: string) => existsSync(dir) && readdirSync(dir).some((name) => /^cluster\.\d+$/.test(name))],
  ['Postgres starts', (dir: string) => existsSync(join(dir, 'cluster', 'postmaster.pid'))],
])('SIGTERM while %s ends what was started, and says so', async (_when, reached) => {
  const dir = freshDir();
  const program = startProgram(dir);
  await until(() => reached(dir), 'the moment');
  await stopProgram(program);
  expect(program.output()).toBe('onsale was asked to stop (SIGTERM) while it was starting.\n');
  expect(program.exitCode).toBe(0);
  expect(processesOf(dir)).toEqual([]);
  expect(readdirSync(dir).filter((name) => /^cluster\.|^initdb/.test(name))).toEqual([]);
  expect(existsSync(join(dir, 'cluster', 'postmaster.pid'))).toBe(false);
});

test('SIGTERM at any moment of a start leaves no process behind', async () => {
  const left: string[] = [];
  for (let afterMs = 150; afterMs <= 1_500; afterMs += 150) {
    const program = startProgram(kept);
    await pause(afterMs);
    await stopProgram(program);
    left.push(...processesOf(kept).map((command) => `after ${String(afterMs)} ms: ${command}`));
    if (program.exitCode !== 0) expect(program.signalCode).toBe('SIGTERM'); // nothing had been started
  }
  expect(left).toEqual([]);
}, 90_000);

test('whoever asks twice does not wait, and Postgres ends all the same', async () => {
  const program = startProgram(kept, { DRAIN_DELAY_MS: '60000' });
  await untilGreeted(program);
  program.kill('SIGINT');
  await pause(1_500); // earlier it would be the same Ctrl-C, passed on by npm
  await stopProgram(program, 'SIGINT');
  expect(program.exitCode).toBe(1);
  await until(() => processesOf(kept).length === 0, 'no process');
  await startAndStop(kept);
});

test.each([
  ['empty', ''],
  ['garbage', 'garbage\n\u0000\u007f\n'],
  ['without a process', '\n/somewhere\n1\n5432\n'],
  ['of a process that is gone, without a port', '2147483646\n'],
  ['of a process that is gone, with an impossible port', '2147483646\n/somewhere\n1\n99999\n'],
])('a lock file that is %s does not stop the next start', async (_what, text) => {
  await writeFile(lockFile(), text);
  await startAndStop(kept);
});

test('a lock file that is not a file is named in one sentence', async () => {
  await mkdir(lockFile());
  await expect(failure(startProgram(kept))).resolves.toBe(`${lockFile()} is not a regular file.`);
  await rm(lockFile(), { recursive: true });
});

test('a damaged lock file does not let a second server onto the data of a first that runs', async () => {
  const first = startProgram(kept);
  const { address } = await untilGreeted(first);
  const intact = await readFile(lockFile());
  await writeFile(lockFile(), '');
  const sentence = await failure(startProgram(kept));
  expect(sentence).toMatch(/^Postgres did not start: .* pre-existing shared memory block .* is still in use \(see \S+\)\.$/);
  await writeFile(lockFile(), intact); // else the first server would end itself within a minute
  expect((await send(`${address}/readyz`)).status).toBe(200);
  await stopProgram(first);
  expect(first.exitCode).toBe(0);
});

test('a cluster that a killed start left half-made is removed, one that another process makes is not', async () => {
  const gone = spawnSync('true').pid;
  for (const pid of [gone, process.pid]) await mkdir(join(kept, `cluster.${String(pid)}`, 'base'), { recursive: true });
  if (process.getuid?.() === 0) {
    const { uid, gid } = unprivilegedAccount(); // as whom initdb makes it then
    spawnSync('chown', ['-R', `${String(uid)}:${String(gid)}`, join(kept, `cluster.${String(gone)}`)]);
  }
  await startAndStop(kept);
  expect(readdirSync(kept).filter((name) => name.startsWith('cluster.'))).toEqual([`cluster.${String(process.pid)}`]);
  await rm(join(kept, `cluster.${String(process.pid)}`), { recursive: true });
});

test('a token of the environment is not printed, one that was made is', async () => {
  const { output } = await startAndStop(kept, { ADMIN_TOKEN: token });
  expect(output).not.toContain(token);
  expect(output).toContain('The admin token is that of ADMIN_TOKEN\n');
  expect(output).toContain('-H "Authorization: Bearer $ADMIN_TOKEN"');
  const made = await startAndStop(kept);
  expect(made.token).toBe(await readFile(join(kept, 'admin-token'), 'utf8'));
  expect(made.output).toContain(`-H 'Authorization: Bearer ${made.token}'`);
});

test('Postgres inherits nothing of the environment', async () => {
  const program = startProgram(kept, { ADMIN_TOKEN: token });
  await untilGreeted(program);
  const client = new pg.Client({ connectionString: await embeddedUrl(kept) });
  await client.connect();
  await client.query(`CREATE TEMP TABLE environment (line text); COPY environment FROM PROGRAM 'env'`);
  const { rows } = await client.query<{ line: string }>('SELECT line FROM environment');
  await client.end();
  await stopProgram(program);
  expect(rows.length).toBeGreaterThan(0);
  const names = rows.map(({ line }) => line.split('=')[0]!).filter((name) => !/^(PG\w*|PWD|OLDPWD|SHLVL|_|LC_\w+|PATH)$/.test(name));
  expect(names).toEqual([]);
});
