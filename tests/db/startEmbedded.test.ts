/**
 * Goal: an embedded database that cannot be used is explained in one sentence, and nothing of it is touched.
 * Method: the built program on copies of one cluster, each damaged in its own way. A full disk is a small filesystem in memory, which
 * only root can mount.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { failure, processesOf, startAndStop, startProgram, stopPrograms } from '../support/program.js';

let base: string;
let intact: string;
let copies = 0;
const mounted: string[] = [];

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'onsale-damaged-'));
  spawnSync('chmod', ['755', base]);
  intact = join(base, 'intact');
  await startAndStop(intact);
});
afterAll(async () => {
  await stopPrograms();
  for (const path of mounted) spawnSync('umount', [path]);
  await rm(base, { recursive: true });
});

/** With owners and modes. */
function copy(to = join(base, `copy-${String((copies += 1))}`)): string {
  expect(spawnSync('cp', ['-a', intact, to]).status).toBe(0);
  return to;
}

const sentenceOf = (dataDir: string) => failure(startProgram(dataDir));

test('a cluster without PG_VERSION is damaged, and stays as it is', async () => {
  const dir = copy();
  await rm(join(dir, 'cluster', 'PG_VERSION'));
  await expect(sentenceOf(dir)).resolves.toBe(
    `The cluster ${dir}/cluster is damaged: its file PG_VERSION is missing; ` +
      'restore the directory from a backup, or move it away to start with an empty database.',
  );
  expect(existsSync(join(dir, 'cluster', 'base'))).toBe(true);
});

test('a cluster of another major version names both versions', async () => {
  const dir = copy();
  await writeFile(join(dir, 'cluster', 'PG_VERSION'), '14\n');
  await expect(sentenceOf(dir)).resolves.toMatch(/^The data in \S+ was written by Postgres 14, and this onsale brings Postgres 18: .*\.$/);
});

test('a cluster that cannot be read names whom it must admit', async () => {
  const dir = copy();
  spawnSync('chmod', ['000', join(dir, 'cluster')]);
  await expect(sentenceOf(dir)).resolves.toMatch(
    /^The cluster \S+ cannot be read and written by .*; restore its owner and its mode 0700, or .*\.$/,
  );
  spawnSync('chmod', ['700', join(dir, 'cluster')]);
});

test('a cluster that lacks an essential file is explained by what Postgres logged', async () => {
  const dir = copy();
  await rm(join(dir, 'cluster', 'global', 'pg_control'));
  const sentence = await sentenceOf(dir);
  expect(sentence).toMatch(/^Postgres did not start: .*pg_control.* \(see \S+postgres\.log\)\.$/);
  expect(processesOf(dir)).toEqual([]);
});

test('a directory that cannot be created is named', async () => {
  await expect(sentenceOf('/proc/nope')).resolves.toMatch(
    /^The data directory \/proc\/nope cannot be used: .*; choose another with EMBEDDED_DATA_DIR\.$/,
  );
});

test.each([
  ['for a new cluster', false],
  ['for one that exists', true],
])('a full disk is named, %s', async (_what, withCluster) => {
  const disk = join(base, `disk-${String(withCluster)}`);
  await mkdir(disk);
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${withCluster ? '400m' : '30m'},mode=755`, 'tmpfs', disk]).status !== 0) {
    process.stdout.write('Skipped: a full disk, because this user cannot mount a small filesystem.\n');
    return;
  }
  mounted.push(disk);
  const dir = join(disk, 'data');
  if (withCluster) {
    copy(dir);
    spawnSync('dd', ['if=/dev/zero', `of=${join(disk, 'filling')}`, 'bs=1M']);
  }
  await expect(sentenceOf(dir)).resolves.toMatch(
    /^The disk of \S+ is full: Postgres needs at least 100 MB and \d+ MB are free; make room there, or .*\.$/,
  );
  expect(processesOf(dir)).toEqual([]);
});
