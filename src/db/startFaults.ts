/**
 * Why the database cannot be used at a start, in one sentence that says what is wrong and what to do. Faults that end by
 * themselves or with another's work are waited for; the others end the process, because an operator must change something.
 */
import pg from 'pg';

export interface StartFault {
  /** What is wrong and what to do, for an operator. It contains no password. */
  readonly sentence: string;
  /** Whether the fault may end while this process waits. */
  readonly mayPass: boolean;
}

/** The database is not usable, and waiting cannot help; the message is one sentence. */
export class StartError extends Error {
  override readonly name = 'StartError';
}

/** Where a URL leads, with pg's own defaults. */
export interface Target {
  /** `host:port`, or the path of a socket. */
  readonly server: string;
  readonly host: string;
  readonly user: string;
  readonly database: string;
  readonly hasPassword: boolean;
  readonly tls: boolean;
}

/** @throws the error of a certificate file that the URL names and that cannot be read */
export function targetOf(url: string): Target {
  const { host, port, user, database, password, ssl } = new pg.Client({ connectionString: url });
  const isSocket = host.startsWith('/');
  const server = isSocket ? `${host}/.s.PGSQL.${String(port)}` : `${host.includes(':') ? `[${host}]` : host}:${String(port)}`;
  return {
    server,
    host,
    user: user ?? '',
    database: database ?? '',
    hasPassword: typeof password === 'string' && password !== '',
    tls: ssl,
  };
}

export const hopeless = (sentence: string): StartFault => ({ sentence, mayPass: false });
export const passing = (sentence: string): StartFault => ({ sentence, mayPass: true });

/** @param error thrown by pg while it connected to the target or ran the first statements there */
export function explain(error: unknown, target: Target): StartFault {
  const { code, syscall } = error as { code?: unknown; syscall?: unknown };
  const message = textOf(error);
  if (error instanceof pg.DatabaseError) return explainRefusal(error.code ?? '', message, target);
  if (typeof code === 'string') return explainSocket(code, syscall === 'connect', message, target);
  return explainProtocol(message, target);
}

/** The certificate file of the URL was not found. It is read before anything connects. */
export function explainUrl(error: unknown): StartFault {
  return hopeless(`DATABASE_URL names a file that cannot be read: ${textOf(error)}.`);
}

function explainRefusal(state: string, message: string, { server, user, database, tls }: Target): StartFault {
  switch (state) {
    case '28P01': // also for a user that does not exist: Postgres does not disclose which
      return hopeless(
        `Postgres at ${server} rejects the password of the user "${user}", or has no such user; correct the user and the password in DATABASE_URL.`,
      );
    case '28000': {
      const withTls = /pg_hba|encryption/.test(message) && !tls ? ' (sslmode=verify-full connects with TLS)' : '';
      return hopeless(
        `Postgres at ${server} does not admit the user "${user}" to the database "${database}" ${tls ? 'over TLS' : 'without TLS'}: ${message}; ` +
          `correct DATABASE_URL${withTls} or pg_hba.conf.`,
      );
    }
    case '3D000':
      return hopeless(`Postgres at ${server} has no database "${database}"; create it, or correct the database in DATABASE_URL.`);
    case '42501':
      return hopeless(`The user "${user}" lacks a privilege in the database "${database}" at ${server}: ${message}; grant it.`);
    case '57P03':
      return passing(`Postgres at ${server} does not accept connections at the moment: ${message}.`);
    case '53300':
      return passing(`Postgres at ${server} has no free connection: ${message}; raise max_connections, or close other clients.`);
    default:
      break;
  }
  const mayPass = /^(08|25006|53|55|57|58)/.test(state);
  return { sentence: `The database "${database}" at ${server} cannot be used: ${message} (SQLSTATE ${state}).`, mayPass };
}

function explainSocket(code: string, whileConnecting: boolean, message: string, { server, host }: Target): StartFault {
  switch (code) {
    case 'ENOTFOUND':
      return hopeless(`The host "${host}" of DATABASE_URL is unknown; correct its name, or the name server of this machine.`);
    case 'EAI_AGAIN':
      return passing(`The name server does not answer for the host "${host}" of DATABASE_URL.`);
    case 'ECONNREFUSED':
      return passing(`Nothing listens on ${server}; start Postgres there, or correct the host and the port in DATABASE_URL.`);
    case 'ENOENT':
      return passing(`There is no socket ${server}; start Postgres, or correct the host in DATABASE_URL.`);
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return passing(`${server} cannot be reached (${code}); check the network, the firewall, and the host and the port in DATABASE_URL.`);
    case 'ECONNRESET':
    case 'EPIPE':
      return passing(`${server} closes the connection; check that Postgres listens there, and whether a proxy in between has lost it.`);
    default:
      break;
  }
  if (/CERT|SIGNATURE|ISSUER|SELF_SIGNED|ALTNAME/.test(code)) {
    return hopeless(
      `The TLS certificate of ${server} is not trusted: ${message}; name its authority with sslrootcert=… in DATABASE_URL, or ` +
        'encrypt without verifying it with sslmode=no-verify.',
    );
  }
  if (/^(EPROTO|ERR_SSL|ERR_TLS)/.test(code)) return hopeless(`${server} and this process agree on no TLS connection: ${message}.`);
  return { sentence: `${server} cannot be reached: ${message}.`, mayPass: whileConnecting && code !== 'EACCES' };
}

/** Errors of pg itself, which have only a message. */
function explainProtocol(message: string, { server, user, hasPassword }: Target): StartFault {
  if (message.includes('does not support SSL')) {
    return hopeless(
      `Postgres at ${server} does not offer TLS, which DATABASE_URL requires; switch it on there (ssl = on), or connect without it with sslmode=disable.`,
    );
  }
  if (!hasPassword && message.includes('password')) {
    return hopeless(`Postgres at ${server} requires a password for the user "${user}", and DATABASE_URL contains none.`);
  }
  if (/timeout/i.test(message)) {
    return passing(`${server} does not answer in time; check that it is Postgres and not overloaded, the network and the firewall.`);
  }
  if (/terminated|ended/i.test(message)) {
    return passing(`${server} closes the connection; check that Postgres listens there, and whether a proxy in between has lost it.`);
  }
  return hopeless(`${server} does not answer as Postgres does: ${message}; correct the host and the port in DATABASE_URL.`);
}

/** One line, without a full stop. An error for several addresses of one name has no message of its own. */
function textOf(error: unknown): string {
  const [first] = error instanceof AggregateError ? (error.errors as unknown[]) : [];
  const message = error instanceof Error ? error.message || textOf(first) : String(error);
  return message.replaceAll(/\s+/g, ' ').replace(/\.$/, '');
}
