/**
 * The data directory of the embedded Postgres: where it is, to whom it belongs, and the secrets in it.
 *
 * Postgres refuses to run as root. As root it therefore runs as an unprivileged account, which must reach both the
 * binaries and the data, and cannot below a home directory of mode 0700: so both live below /var/lib/onsale then. The
 * account may be hostile, because other programs run as it too and SQL can start programs. So the directory is root's: the
 * account can pass through to `cluster`, which is its own, and can change nothing else. Everybody else owns the directory
 * and runs Postgres himself.
 */
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  constants,
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
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Account, EmbeddedError, runAs } from './account.js';
import { entryAt, readPlainFile, rootHome, rootOnlyPath } from './ownership.js';

export { type Account, EmbeddedError, unprivilegedAccount } from './account.js';
export { locateBinaries } from './binaries.js';

const checkout = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');
/** Holds the database's password; the mark of a data directory of ours. */
export const passwordFile = 'postgres-password';
export const adminTokenFile = 'admin-token';
/** The log, and what it held before it was emptied. */
export const logFiles = { current: 'postgres.log', previous: 'postgres.log.1' } as const;
/** A secret is 32 characters; somebody may have chosen a longer one himself. */
const secretBytesMax = 1_024;

/** A secret of this data directory: made once, kept readable by its owner alone. @throws EmbeddedError */
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
  throw new EmbeddedError(`${path} is damaged: it must hold one line of visible ASCII characters.`);
}

/**
 * Makes the directory, or refuses one that is somebody else's. As root, takes over one that belongs to the account.
 *
 * @param chosen the user's choice; unset: `.onsale` in the checkout, or for root one of that checkout's own below rootHome
 * @returns its path; for root without links
 * @throws EmbeddedError
 */
export function makeDataDir(chosen: string | undefined, account: Account | undefined): string {
  let dataDir = chosen === undefined ? defaultDataDir(account) : resolve(chosen);
  let made: string | undefined;
  try {
    if (account) dataDir = rootOnlyPath(dataDir);
    made = mkdirSync(dataDir, { recursive: true, mode: 0o755 });
    refuseForeign(dataDir);
    if (account) {
      claim(dataDir, account);
      adoptEntries(dataDir, account);
    } else {
      chmodSync(dataDir, 0o700);
    }
  } catch (error) {
    if (error instanceof EmbeddedError) throw error;
    throw new EmbeddedError(`The data directory ${dataDir} cannot be used: ${(error as Error).message}.`);
  }
  const reach = account ? 'cd "$0"' : 'cd "$0" && test -r . && test -w .';
  const probe = spawnSync('/bin/sh', ['-c', reach, dataDir], { ...runAs(account), stdio: 'ignore' });
  if (probe.status !== 0) {
    if (made !== undefined) rmSync(made, { recursive: true });
    const whose = account ? ` by the account with uid ${String(account.uid)}, as which Postgres runs when root starts it` : '';
    throw new EmbeddedError(`The data directory ${dataDir} cannot be reached${whose}; choose another with EMBEDDED_DATA_DIR.`);
  }
  return dataDir;
}

function refuseForeign(dataDir: string): void {
  const present = readdirSync(dataDir);
  if (present.length === 0 || present.includes(passwordFile)) return;
  throw new EmbeddedError(`The data directory ${dataDir} has other things in it; choose an empty one with EMBEDDED_DATA_DIR.`);
}

/**
 * Makes the directory root's by its descriptor, so that no link can stand in for it. From then on the account can neither
 * add nor replace a name in it, even if it had the directory open.
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
    if (named?.dev !== dev || named.ino !== ino) throw new EmbeddedError(`The data directory ${dataDir} was replaced meanwhile.`);
  } finally {
    closeSync(fd);
  }
}

/** The account may have owned the directory: each name that we use is what it should be, or is replaced, or is refused. */
function adoptEntries(dataDir: string, account: Account): void {
  const cluster = entryAt(join(dataDir, 'cluster'));
  if (cluster && !(cluster.isDirectory() && cluster.uid === account.uid)) {
    throw new EmbeddedError(`The cluster in ${dataDir} is not a directory of uid ${String(account.uid)}, as which Postgres runs.`);
  }
  // The log is a record, and the admin's token is made anew and printed: neither is worth a doubt.
  for (const name of [adminTokenFile, ...Object.values(logFiles)]) {
    if (!isRoots(join(dataDir, name))) rmSync(join(dataDir, name), { force: true });
  }
  // The cluster answers to this password alone. Copied, because the account may have its file open for writing.
  const path = join(dataDir, passwordFile);
  const password = readPlainFile(path, secretBytesMax);
  if (!password || isRoots(path)) return;
  if (password.stats.uid !== account.uid || password.stats.nlink > 1)
    throw new EmbeddedError(`${path} belongs to neither root nor Postgres.`);
  const copy = `${path}.copy`;
  rmSync(copy, { force: true });
  writeFileSync(copy, secretIn(password.text, path), { mode: 0o600, flag: 'wx' });
  renameSync(copy, path);
}

/** A plain file that root made here: a hard link to one of root's files elsewhere has two names. */
function isRoots(path: string): boolean {
  const entry = entryAt(path);
  return entry?.isFile() === true && entry.uid === 0 && entry.nlink === 1;
}

function defaultDataDir(account: Account | undefined): string {
  if (!account) return join(checkout, '.onsale');
  const distinct = createHash('sha256').update(checkout).digest('hex').slice(0, 8);
  return join(rootHome, `${basename(checkout)}-${distinct}`);
}
