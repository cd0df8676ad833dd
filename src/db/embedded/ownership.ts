/**
 * File access as root when the account that runs Postgres may be hostile: root uses only names in directories that only root can
 * change.
 *
 * In any other directory the account can replace a name with a link between the check and the use, so that root would read,
 * write or chown the link's target. In a directory that only root can change, a check remains valid.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, realpathSync, rmdirSync, rmSync, type Stats } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { type Account, EmbeddedError, runAs } from './account.js';

/** Holds root's data directories and copies of the binaries. */
export const rootHome = '/var/lib/onsale';
const removeTimeoutMs = 60_000;

/** The entry itself, without following a link; undefined if there is none. */
export function entryAt(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

/**
 * Resolves the links in a path, after checking that only root can change the directories above its last name.
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

/** Requires that only root owns and can write the path and every directory above it. Others may write to sticky directories. */
export function requireRootOnly(path: string): void {
  for (let name = path; ; name = dirname(name)) {
    const entry = lstatSync(name);
    const { uid, gid, mode } = entry;
    const sticky = (mode & 0o1000) !== 0;
    const othersWrite = (mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && gid !== 0);
    if (uid !== 0 || (entry.isDirectory() && othersWrite && !sticky)) {
      throw new EmbeddedError(
        `When root starts onsale, only root may own and write ${name}; choose another directory with EMBEDDED_DATA_DIR.`,
      );
    }
    if (name === dirname(name)) return;
  }
}

/**
 * Reads the beginning of a file without following a link, and without blocking on a pipe.
 *
 * @returns undefined if the file does not exist
 * @throws EmbeddedError if it is not a regular file, or cannot be read
 */
export function readPlainFile(path: string, bytesMax: number): { text: string; stats: Stats } | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new EmbeddedError(`${path} cannot be read as a regular file: ${message}.`);
  }
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw new EmbeddedError(`${path} is not a regular file.`);
    const buffer = Buffer.alloc(bytesMax);
    return { text: buffer.toString('utf8', 0, readSync(fd, buffer, 0, bytesMax, 0)), stats };
  } finally {
    closeSync(fd);
  }
}

/** Removes a tree that the account can write. A process of the account does it, because the account could redirect root with a link. */
export function removeTree(path: string, account: Account | undefined): void {
  if (account === undefined || entryAt(path)?.isDirectory() !== true) {
    rmSync(path, { recursive: true, force: true });
    return;
  }
  spawnSync('/bin/sh', ['-c', 'rm -rf -- "$0"', path], { ...runAs(account), stdio: 'ignore', timeout: removeTimeoutMs });
  try {
    rmdirSync(path); // by root, which owns the parent directory
  } catch {
    // The account has kept the directory from becoming empty, which is harmless; the next start tries again.
  }
}

/** Whether the process whose id is in the name of an incomplete file still runs. It is not this process, which has just started. */
export function isOtherProcess(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
