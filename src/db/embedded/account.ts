/** The operating-system account that runs Postgres and its tools, and the environment of those processes. */
import { readFileSync } from 'node:fs';

/** The embedded Postgres cannot be used; the message explains why in one sentence. */
export class EmbeddedError extends Error {
  override readonly name = 'EmbeddedError';
}

/** The account that Postgres runs as. Where it is undefined, Postgres runs as the user of the API. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** The directories of an instance, and the account that runs its Postgres. */
export interface Place {
  /** The directory of initdb, pg_ctl and postgres. */
  readonly binaries: string;
  readonly dataDir: string;
  readonly account: Account | undefined;
}

/** The account `postgres` if it exists, otherwise `nobody`, because initdb needs an account with a name. */
export function unprivilegedAccount(): Account {
  const passwd = readFileSync('/etc/passwd', 'utf8').split('\n');
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = passwd.find((line) => line.startsWith(`${name}:`))?.split(':') ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new EmbeddedError('Postgres cannot run as root, and neither of the accounts "postgres" and "nobody" exists.');
}

/**
 * The options of every process that runs as the account. The process does not inherit the API's environment, which holds
 * ADMIN_TOKEN and perhaps other secrets, because SQL can read the environment of Postgres (`COPY … FROM PROGRAM 'env'`). The
 * C locale keeps its messages in English.
 */
export function runAs(account: Account | undefined) {
  return { ...account, env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' } };
}
