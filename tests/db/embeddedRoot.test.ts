/**
 * Goal: where root starts onsale, the unprivileged account that runs Postgres reaches nothing of root's through the files.
 * Method: the built program as root; between and during its runs the account does what it can. Skipped for anybody else.
 */
import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import { chownSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Account, locateBinaries, unprivilegedAccount } from '../../src/db/embedded/dataDir.js';
import { makeEvent, send } from '../support/client.js';
import { adminToken } from '../support/replica.js';
import { failure, startAndStop, startProgram, stopProgram, stopPrograms, untilGreeted } from '../support/program.js';

const asRoot = process.getuid?.() === 0;
const testAsRoot = asRoot ? test : test.skip;

let account: Account;
let base: string;
let dataDir: string;
/** Root's, and closed to everybody else. */
let canary: string;

beforeAll(async () => {
  if (!asRoot) return;
  account = unprivilegedAccount();
  base = await mkdtemp(join(tmpdir(), 'onsale-root-'));
  spawnSync('chmod', ['755', base]);
  dataDir = join(base, 'data');
  mkdirSync(join(base, 'secret'), { mode: 0o700 });
  canary = join(base, 'secret', 'canary');
  writeFileSync(canary, 'a-secret-of-root-that-none-may-see', { mode: 0o600 });
  await startAndStop(dataDir);
});
afterAll(async () => {
  if (!asRoot) return;
  await stopPrograms();
  await rm(base, { recursive: true });
});

/** Runs a shell script as the account, with the data directory as $0 and the canary as $1. */
function byAccount(script: string): SpawnSyncReturns<string> {
  return spawnSync('/bin/sh', ['-c', script, dataDir, canary], { uid: account.uid, gid: account.gid, encoding: 'utf8' });
}

function expectUntouched(): void {
  expect(readFileSync(canary, 'utf8')).toBe('a-secret-of-root-that-none-may-see');
  expect(statSync(canary)).toMatchObject({ uid: 0, gid: 0, mode: 0o100600 });
}

/** As versions had it in which the directory belonged to the account. */
function makePreviousLayout(): void {
  spawnSync('chmod', ['700', dataDir]);
  for (const path of [dataDir, join(dataDir, 'postgres-password')]) chownSync(path, account.uid, account.gid);
}

testAsRoot('the account can change and read nothing in the data directory but its cluster, and not the programs that it runs', () => {
  expect(statSync(dataDir)).toMatchObject({ uid: 0, gid: account.gid, mode: 0o040710 });
  const owners = readdirSync(dataDir).map((name) => [name, lstatSync(join(dataDir, name)).uid] as const);
  expect(Object.fromEntries(owners)).toEqual({ cluster: account.uid, 'postgres-password': 0, 'admin-token': 0, 'postgres.log': 0 });
  const attempts = [
    'rm -f "$0/postgres.log"',
    'mv "$0/cluster" "$0/other"',
    'ln -s "$1" "$0/postgres.log.1"',
    'cat "$0/postgres-password"',
    'cat "$0/admin-token"',
    'ls "$0"',
    `touch "${locateBinaries(account)}/postgres"`,
    `touch "${locateBinaries(account)}/other"`,
  ];
  expect(attempts.filter((script) => byAccount(script).status === 0)).toEqual([]);
  expect(byAccount('test -w "$0/cluster/PG_VERSION"').status).toBe(0);
});

testAsRoot('a directory that belonged to the account is taken over with its data, and no link in it is followed', async () => {
  const before = startProgram(dataDir, { ADMIN_TOKEN: adminToken });
  const eventId = await makeEvent((await untilGreeted(before)).address, { total_quota: 5, max_purchase_limit: 2 });
  await stopProgram(before);
  makePreviousLayout();
  const replaced = ['postgres.log', 'postgres.log.1', 'admin-token', 'initdb-password', 'postgres-password.copy', 'cluster.2147483646'];
  for (const name of replaced) expect(byAccount(`rm -f "$0/${name}" && ln -s "$1" "$0/${name}"`).status).toBe(0);

  const after = startProgram(dataDir);
  const { address, token } = await untilGreeted(after);
  expect((await send(`${address}/events/${eventId}`)).status).toBe(200);
  await stopProgram(after);
  expectUntouched();
  expect(after.output()).not.toContain('a-secret-of-root');
  expect(token).toBe(readFileSync(join(dataDir, 'admin-token'), 'utf8'));
  expect(statSync(dataDir)).toMatchObject({ uid: 0, mode: 0o040710 });
  for (const name of ['postgres-password', 'admin-token', 'postgres.log']) {
    expect(lstatSync(join(dataDir, name))).toMatchObject({ uid: 0, mode: 0o100600 });
  }
  expect(existsSync(join(dataDir, 'cluster.2147483646'))).toBe(false);
});

testAsRoot('a token that the account has put there is not the admin’s', async () => {
  makePreviousLayout();
  expect(byAccount('rm -f "$0/admin-token" && echo a-token-known-to-the-account > "$0/admin-token"').status).toBe(0);
  const { token } = await startAndStop(dataDir);
  expect(token).toMatch(/^[\w-]{32}$/);
});

testAsRoot.each(['postgres-password', 'cluster'])('a link in the place of %s is refused in one sentence', async (name) => {
  makePreviousLayout();
  expect(byAccount(`mv "$0/${name}" "$0/kept" && ln -s "$1" "$0/${name}"`).status).toBe(0);
  const sentence = await failure(startProgram(dataDir));
  expect(sentence.split('\n')).toEqual([expect.stringContaining(join(dataDir, name === 'cluster' ? '' : name).replace(/\/$/, ''))]);
  expectUntouched();
  spawnSync('/bin/sh', ['-c', `rm "$0/${name}" && mv "$0/kept" "$0/${name}"`, dataDir]);
  await startAndStop(dataDir);
});

testAsRoot('a hard link to a file of root’s is not taken for one of ours', async () => {
  // What protects against making such links can be switched off, so root makes it here.
  makePreviousLayout();
  for (const name of ['postgres.log', 'admin-token']) {
    spawnSync('ln', ['-f', canary, join(dataDir, name)]);
  }
  const { token } = await startAndStop(dataDir);
  expect(token).not.toContain('secret-of-root');
  expectUntouched();
});

testAsRoot('a directory that the account could replace by a link is refused in one sentence', async () => {
  const parent = join(base, 'of-the-account');
  mkdirSync(parent);
  const refused = `When root starts onsale, only root may own and write ${parent}; choose another directory with EMBEDDED_DATA_DIR.`;
  chownSync(parent, account.uid, account.gid);
  await expect(failure(startProgram(join(parent, 'data')))).resolves.toBe(refused);
  chownSync(parent, 0, 0);
  spawnSync('chmod', ['777', parent]);
  await expect(failure(startProgram(join(parent, 'deeper', 'data')))).resolves.toBe(refused);
  expect(readdirSync(parent)).toEqual([]);
});

testAsRoot('a process of root’s that the account names in the lock file gets no signal', async () => {
  const program = startProgram(dataDir);
  await untilGreeted(program);
  await stopProgram(program, 'SIGKILL'); // its Postgres goes on and will say that its API is gone
  const lockFile = join(dataDir, 'cluster', 'postmaster.pid');
  const [pid, ...rest] = readFileSync(lockFile, 'utf8').split('\n');
  const victim = spawn('sleep', ['600'], { stdio: 'ignore' });
  try {
    writeFileSync(lockFile, [victim.pid, ...rest].join('\n'));
    await expect(failure(startProgram(dataDir))).resolves.toMatch(/does not stop: .*Operation not permitted/);
    expect(victim.signalCode).toBeNull();
  } finally {
    victim.kill();
    writeFileSync(lockFile, [pid, ...rest].join('\n'));
  }
  await startAndStop(dataDir);
});

testAsRoot('a copy of the programs that a killed start left half-made is removed', async () => {
  const half = `${join(locateBinaries(account), '..', '..')}.${String(spawnSync('true').pid)}`;
  mkdirSync(join(half, 'native'), { recursive: true });
  await startAndStop(dataDir);
  expect(existsSync(half)).toBe(false);
  rmSync(half, { recursive: true, force: true });
});
