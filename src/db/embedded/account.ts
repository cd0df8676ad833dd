/** Who runs Postgres and its tools, and what those processes inherit from the API. */
import { readFileSync } from 'node:fs';

/** Says in one sentence why the embedded Postgres cannot be used. */
export class EmbeddedError extends Error {
  override readonly name = 'EmbeddedError';
}

/** The account that Postgres runs as; undefined: our own. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** Where an instance is, and who runs its Postgres. */
export interface Place {
  /** Of initdb, pg_ctl and postgres. */
  readonly binaries: string;
  readonly dataDir: string;
  readonly account: Account | undefined;
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
 * The options of every process that runs as the account. It gets none of the API's environment, which holds ADMIN_TOKEN
 * and whatever else was exported: SQL can read the environment of Postgres (`COPY … FROM PROGRAM 'env'`). The C locale
 * keeps its messages in English.
 */
export function runAs(account: Account | undefined) {
  return { ...account, env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' } };
}
