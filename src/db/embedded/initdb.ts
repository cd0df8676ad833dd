/** Creates the cluster on the first start. */
import { chownSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Account, EmbeddedError, type Place, runAs } from './account.js';
import { isOtherProcess, removeTree } from './ownership.js';
import { runTool } from './process.js';
import { hasUsableCluster } from './usableCluster.js';

export const superuser = 'onsale';

/**
 * Creates the cluster under a temporary name and renames it when it is complete, so that a crash leaves no partial cluster.
 *
 * @throws EmbeddedError, or the signal's reason
 */
export async function initialise(place: Place, password: string, signal?: AbortSignal): Promise<void> {
  const { binaries, dataDir, account } = place;
  removeUnfinished(dataDir, account);
  if (hasUsableCluster(place)) return;
  const cluster = join(dataDir, 'cluster');
  const unfinished = `${cluster}.${String(process.pid)}`;
  // A separate file, so that the account never owns the permanent one.
  const passwordForInitdb = join(dataDir, 'initdb-password');
  rmSync(passwordForInitdb, { force: true });
  try {
    mkdirSync(unfinished, { mode: 0o700 });
    writeFileSync(passwordForInitdb, password, { mode: 0o600, flag: 'wx' });
    if (account) for (const path of [unfinished, passwordForInitdb]) chownSync(path, account.uid, account.gid);
    const options = ['--encoding=UTF8', '--locale=C', '--auth=scram-sha-256', `--username=${superuser}`, `--pwfile=${passwordForInitdb}`];
    const failure = await runTool(
      join(binaries, 'initdb'),
      ['--pgdata', unfinished, ...options],
      { ...runAs(account), cwd: dataDir },
      signal,
    );
    signal?.throwIfAborted();
    if (failure !== undefined) throw new EmbeddedError(`The database could not be created: ${failure.replaceAll(/\s+/g, ' ')}`);
    renameSync(unfinished, cluster);
  } catch (error) {
    removeTree(unfinished, account);
    if (!existsSync(join(cluster, 'PG_VERSION'))) throw error; // otherwise a concurrent start was faster
    signal?.throwIfAborted();
  } finally {
    rmSync(passwordForInitdb, { force: true });
  }
}

/** Removes incomplete clusters whose process was killed. */
function removeUnfinished(dataDir: string, account: Account | undefined): void {
  for (const name of readdirSync(dataDir)) {
    const [, pid] = /^cluster\.(\d+)$/.exec(name) ?? [];
    if (pid !== undefined && !isOtherProcess(Number(pid))) removeTree(join(dataDir, name), account);
  }
}
