/** Rejects a cluster that this version's Postgres cannot use, before Postgres rejects it with less of an explanation. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EmbeddedError, type Place, runAs } from './account.js';
import { readPlainFile } from './ownership.js';

const versionBytesMax = 64;

/** @returns whether there is a cluster; if not, it must be created @throws EmbeddedError if it cannot be used */
export function hasUsableCluster({ binaries, dataDir, account }: Place): boolean {
  const cluster = join(dataDir, 'cluster');
  const version = versionOf(cluster);
  if (version === undefined) return false;
  const expected = majorVersionOf(binaries);
  if (version !== expected) {
    throw new EmbeddedError(
      `The data in ${dataDir} was written by Postgres ${version}, and this onsale brings Postgres ${expected}: start the onsale that wrote it, ` +
        'or choose another directory with EMBEDDED_DATA_DIR and move the data with pg_dump.',
    );
  }
  const probe = spawnSync('/bin/sh', ['-c', 'cd "$0" && test -r . -a -w . -a -r PG_VERSION', cluster], {
    ...runAs(account),
    stdio: 'ignore',
  });
  if (probe.status !== 0) throw unreadable(cluster, account ? `uid ${String(account.uid)}, which runs Postgres` : 'its user');
  return true;
}

function unreadable(cluster: string, byWhom: string): EmbeddedError {
  return new EmbeddedError(
    `The cluster ${cluster} cannot be read and written by ${byWhom}; restore its owner and its mode 0700, or choose another directory with EMBEDDED_DATA_DIR.`,
  );
}

/** @returns the contents of PG_VERSION; undefined if there is no cluster, or an empty directory in its place */
function versionOf(cluster: string): string | undefined {
  let names: string[];
  try {
    names = readdirSync(cluster);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unreadable(cluster, 'onsale');
  }
  if (names.length === 0) return undefined;
  const version = readPlainFile(join(cluster, 'PG_VERSION'), versionBytesMax)?.text.trim();
  if (version !== undefined && /^\d+$/.test(version)) return version;
  throw new EmbeddedError(
    `The cluster ${cluster} is damaged: its file PG_VERSION is ${version === undefined ? 'missing' : 'not a version'}; restore the directory from a ` +
      'backup, or move it away to start with an empty database.',
  );
}

/** From the npm package that the programs come from; its version is that of Postgres. */
function majorVersionOf(binaries: string): string {
  const { version } = JSON.parse(readFileSync(join(binaries, '..', '..', 'package.json'), 'utf8')) as { version: string };
  return version.split('.')[0] ?? '';
}
