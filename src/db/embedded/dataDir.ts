/**
 * The data directory of the embedded Postgres: its location, its ownership, and the secrets in it.
 *
 * Postgres refuses to run as root. If root starts onsale, Postgres therefore runs as an unprivileged account, which must reach
 * the binaries and the data. Below a home directory with mode 0700 it cannot, so for root both are below /var/lib/onsale. The
 * account may be hostile, because other programs run as it too and SQL can start programs. So root owns the directory: the
 * account can traverse it to `cluster`, which it owns, and can change nothing else. A user other than root owns the directory
 * and runs Postgres as himself.
 */
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Account, EmbeddedError, runAs } from './account.js';
import { orFullDisk } from './fullDisk.js';
import { entryAt, readPlainFile, rootHome, rootOnlyPath } from './ownership.js';

export { type Account, EmbeddedError, unprivilegedAccount } from './account.js';
export { locateBinaries } from './binaries.js';

const checkout = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');
/** Holds the database's password; its presence marks a data directory of onsale. */
export const passwordFile = 'postgres-password';
export const adminTokenFile = 'admin-token';
/** The log, and its content before it was last truncated. */
export const logFiles = { current: 'postgres.log', previous: 'postgres.log.1' } as const;
/** A generated secret has 32 characters; an operator may have put a longer one there. */
const secretBytesMax = 1_024;

/** Reads a secret of this data directory, or generates it on first use, readable only by its owner. @throws EmbeddedError */
export function keepSecret(dataDir: string, name: string): string {
  const path = join(dataDir, name);
  const kept = readPlainFile(path, secretBytesMax);
  if (kept !== undefined) return secretIn(kept.text, path);
  const secret = randomBytes(24).toString('base64url');
  writeFileSync(path, secret, { mode: 0o600, flag: 'wx' });
  return secret;
}

function secretIn(text: string, path: string): string {
  const secret = text.trim();
  if (/^[\x21-\x7e]+$/.test(secret)) return secret;
  throw new EmbeddedError(`${path} is damaged: it must contain one line of visible ASCII characters.`);
}

/**
 * Creates the directory, or rejects one that is not a data directory. As root, takes over one that belongs to the account.
 *
 * @param chosen the operator's choice; unset: `.onsale` in the checkout, or for root a directory per checkout below rootHome
 * @returns its path; for root, with symlinks resolved
 * @throws EmbeddedError
 */
export function makeDataDir(chosen: string | undefined, account: Account | undefined): string {
  let dataDir = chosen === undefined ? defaultDataDir(account) : resolve(chosen);
  let made: string | undefined;
  try {
    if (account) dataDir = rootOnlyPath(dataDir);
    made = makeDirectories(dataDir);
    refuseForeign(dataDir);
    if (account) {
      claim(dataDir, account);
      adoptEntries(dataDir, account);
    } else {
      chmodSync(dataDir, 0o700);
    }
  } catch (error) {
    if (error instanceof EmbeddedError) throw error;
    const failure = orFullDisk(error, dirname(dataDir));
    if (failure instanceof EmbeddedError) throw failure;
    throw new EmbeddedError(
      `The data directory ${dataDir} cannot be used: ${(error as Error).message}; choose another with EMBEDDED_DATA_DIR.`,
    );
  }
  const reach = account ? 'cd "$0"' : 'cd "$0" && test -r . && test -w .';
  const probe = spawnSync('/bin/sh', ['-c', reach, dataDir], { ...runAs(account), stdio: 'ignore' });
  if (probe.status !== 0) {
    if (made !== undefined) rmSync(made, { recursive: true });
    const byWhom = account ? ` by uid ${String(account.uid)}, which runs Postgres when root starts onsale` : '';
    throw new EmbeddedError(`The data directory ${dataDir} cannot be reached${byWhom}; choose another with EMBEDDED_DATA_DIR.`);
  }
  return dataDir;
}

/** Node's own recursive mkdir never returns below a directory such as /proc. @returns the first directory that was created */
function makeDirectories(path: string): string | undefined {
  const missing: string[] = [];
  for (let name = path; !existsSync(name); name = dirname(name)) missing.unshift(name);
  for (const name of missing) mkdirSync(name, { mode: 0o755 });
  return missing[0];
}

function refuseForeign(dataDir: string): void {
  const present = readdirSync(dataDir);
  if (present.length === 0 || present.includes(passwordFile)) return;
  throw new EmbeddedError(`The data directory ${dataDir} contains other files; choose an empty one with EMBEDDED_DATA_DIR.`);
}

/**
 * Makes root the owner of the directory, through its descriptor, so that a symlink cannot redirect the change. After that the
 * account can neither add nor replace an entry in it, even if it had the directory open.
 */
function claim(dataDir: string, account: Account): void {
  const fd = openSync(dataDir, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    const { uid, dev, ino } = fstatSync(fd);
    if (uid !== 0 && uid !== account.uid && readdirSync(dataDir).length > 0) {
      throw new EmbeddedError(`The data directory ${dataDir} belongs to uid ${String(uid)}; choose another with EMBEDDED_DATA_DIR.`);
    }
    fchownSync(fd, 0, account.gid);
    fchmodSync(fd, 0o710);
    const named = entryAt(dataDir);
    if (named?.dev !== dev || named.ino !== ino) throw new EmbeddedError(`The data directory ${dataDir} was replaced during the start.`);
  } finally {
    closeSync(fd);
  }
}

/** The account may have owned the directory, so each entry in use is verified, replaced or rejected. */
function adoptEntries(dataDir: string, account: Account): void {
  const cluster = entryAt(join(dataDir, 'cluster'));
  if (cluster && !(cluster.isDirectory() && cluster.uid === account.uid)) {
    throw new EmbeddedError(`The cluster in ${dataDir} is not a directory of uid ${String(account.uid)}, which runs Postgres.`);
  }
  // The log is only a record, and the admin token is generated again and printed, so files of doubtful origin are removed.
  for (const name of [adminTokenFile, ...Object.values(logFiles)]) {
    if (!isOwnedByRoot(join(dataDir, name))) rmSync(join(dataDir, name), { force: true });
  }
  // The cluster accepts only this password. It is copied, because the account may have the file open for writing.
  const path = join(dataDir, passwordFile);
  const password = readPlainFile(path, secretBytesMax);
  if (!password || isOwnedByRoot(path)) return;
  if (password.stats.uid !== account.uid || password.stats.nlink > 1)
    throw new EmbeddedError(`${path} belongs to neither root nor Postgres.`);
  const copy = `${path}.copy`;
  rmSync(copy, { force: true });
  writeFileSync(copy, secretIn(password.text, path), { mode: 0o600, flag: 'wx' });
  renameSync(copy, path);
}

/** Whether this is a regular file that root created here; a hard link to another file of root has a link count of two. */
function isOwnedByRoot(path: string): boolean {
  const entry = entryAt(path);
  return entry?.isFile() === true && entry.uid === 0 && entry.nlink === 1;
}

function defaultDataDir(account: Account | undefined): string {
  if (!account) return join(checkout, '.onsale');
  const distinct = createHash('sha256').update(checkout).digest('hex').slice(0, 8);
  return join(rootHome, `${basename(checkout)}-${distinct}`);
}
