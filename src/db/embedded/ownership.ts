/**
 * What root may touch when the account that runs Postgres is hostile: only names in directories that root alone can change.
 *
 * In any other directory the account can replace a name by a link between a check and its use, so that root would read,
 * write or chown the link's target. A directory that only root can change makes every check in it final.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, realpathSync, rmdirSync, rmSync, type Stats } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { type Account, EmbeddedError, runAs } from './account.js';

/** For root: its data directories and its copies of the binaries. */
export const rootHome = '/var/lib/onsale';
const removeTimeoutMs = 60_000;

/** What the name itself is, without following a link; undefined: there is nothing. */
export function entryAt(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

/**
 * The same path without links above its last name, after the check that only root can change what is above it.
 *
 * @throws EmbeddedError
 */
export function rootOnlyPath(path: string): string {
  if (entryAt(path)?.isSymbolicLink() === true) {
    requireRootOnly(path);
    return rootOnlyPath(realpathSync(path));
  }
  let existing = dirname(path);
  while (entryAt(existing) === undefined) existing = dirname(existing);
  requireRootOnly(existing);
  const real = realpathSync(existing);
  requireRootOnly(real);
  return join(real, relative(existing, path));
}

/** Root owns the path and every directory above, and nobody else may write there; in a sticky directory they may, beside it. */
export function requireRootOnly(path: string): void {
  for (let name = path; ; name = dirname(name)) {
    const entry = lstatSync(name);
    const { uid, gid, mode } = entry;
    const sticky = (mode & 0o1000) !== 0;
    const othersWrite = (mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && gid !== 0);
    if (uid !== 0 || (entry.isDirectory() && othersWrite && !sticky)) {
      throw new EmbeddedError(
        `When root starts onsale, ${name} must belong to root and be writable by nobody else; choose another directory with EMBEDDED_DATA_DIR.`,
      );
    }
    if (name === dirname(name)) return;
  }
}

/**
 * Reads the beginning of a file without following a link, and without waiting if it is a pipe.
 *
 * @returns undefined if there is no such name
 * @throws EmbeddedError when it is anything but a plain file, or cannot be read
 */
export function readPlainFile(path: string, bytesMax: number): { text: string; stats: Stats } | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new EmbeddedError(`${path} cannot be read as a plain file: ${message}.`);
  }
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw new EmbeddedError(`${path} is not a plain file.`);
    const buffer = Buffer.alloc(bytesMax);
    return { text: buffer.toString('utf8', 0, readSync(fd, buffer, 0, bytesMax, 0)), stats };
  } finally {
    closeSync(fd);
  }
}

/** Removes what the account has written. The account itself does it: it could redirect root in the middle by a link. */
export function removeTree(path: string, account: Account | undefined): void {
  if (account === undefined || entryAt(path)?.isDirectory() !== true) {
    rmSync(path, { recursive: true, force: true });
    return;
  }
  spawnSync('/bin/sh', ['-c', 'rm -rf -- "$0"', path], { ...runAs(account), stdio: 'ignore', timeout: removeTimeoutMs });
  try {
    rmdirSync(path); // its name is in our directory
  } catch {
    // The account keeps something in there. It does no harm; the next start tries again.
  }
}

/** Whether the process that put its id into the name of an unfinished file still runs. It is not us: we have just started. */
export function isOtherProcess(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
