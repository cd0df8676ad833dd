/**
 * Classifies database errors. The same SQLSTATE arrives in several forms (a Prisma error with Prisma's own code, an error of the
 * driver adapter, a plain Error), so it is extracted here and nowhere else.
 */

import pg from 'pg';

export interface Fault {
  readonly sqlState: string | undefined;
  /** The condition's name in Postgres's manual (appendix A), or the name or message of the error. */
  readonly name: string;
  /** Whether a retry may succeed: the fault is temporary or in the infrastructure, not in the request. */
  readonly transient: boolean;
  /** Whether it certainly did not and will not commit: it was never sent, or the server itself reported that it failed. */
  readonly undone: boolean;
}

/** The retry policy. A state that is not listed is not retried. */
const transientStates: Readonly<Record<string, string>> = {
  '08000': 'connection_exception',
  '08001': 'sqlclient_unable_to_establish_sqlconnection',
  '08003': 'connection_does_not_exist',
  '08004': 'sqlserver_rejected_establishment_of_sqlconnection',
  '08006': 'connection_failure',
  '25006': 'read_only_sql_transaction', // a primary that was demoted
  '25P03': 'idle_in_transaction_session_timeout',
  '25P04': 'transaction_timeout',
  '28000': 'invalid_authorization_specification', // while roles or passwords are being changed
  '28P01': 'invalid_password',
  '3D000': 'invalid_catalog_name', // while the database is being restored
  '40001': 'serialization_failure',
  '40P01': 'deadlock_detected',
  '53000': 'insufficient_resources',
  '53100': 'disk_full',
  '53200': 'out_of_memory',
  '53300': 'too_many_connections',
  '55000': 'object_not_in_prerequisite_state', // a database that is not accepting connections
  '55P03': 'lock_not_available',
  '57014': 'query_canceled', // also the statement timeout
  '57P01': 'admin_shutdown',
  '57P02': 'crash_shutdown',
  '57P03': 'cannot_connect_now',
  '58000': 'system_error',
  '58030': 'io_error',
};

/**
 * Data, constraint, transaction, lock and cancel errors, errors in a statement, and rejected connections. Errors of an ending
 * session or server (08, 57P01, 58, XX) are excluded: a server that is stopped while a commit waits for its standby reports them too.
 */
const undoneStates = /^(22|23|25|28|3D|40|42|55)|^(53300|57014|57P03)$/;

/** Data, constraint, lock and cancel errors, and errors in a statement: they end the statement, but never its session. */
const statementStates = /^(21|22|23|40|42|55|P0)|^57014$/;

/** A commit that did not succeed: COMMIT was answered with ROLLBACK, or the wait for the standby was cancelled. */
export class CommitFault extends Error {
  override readonly name = 'CommitFault';
}

/** A reply did not arrive in time; the connection was destroyed. */
export class ClientDeadlineFault extends Error {
  override readonly name = 'ClientDeadlineFault';
}

/** A reply came from a server that did not prove that it is still the primary; a write may or may not have been committed. */
export class FenceFault extends Error {
  override readonly name = 'FenceFault';
}

/** The database cannot be used for sales, because it is read-only. */
export class UnusableDatabaseFault extends Error {
  override readonly name = 'UnusableDatabaseFault';
}

/** A lost or rejected connection without a SQLSTATE: the driver adapter's kinds, Prisma's codes, and words in pg's messages. */
const connectionKinds = ['DatabaseNotReachable', 'ConnectionClosed', 'SocketTimeout', 'TooManyConnections', 'TlsConnectionError'];
const connectionCodes = ['P1001', 'P1002', 'P1008', 'P1017', 'P2024', 'P2028'];
const connectionWords = /terminated|timeout|ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|not queryable/i;

/** @param error anything thrown by Prisma, its adapter or pg */
export function classify(error: unknown): Fault {
  const causes = [...chain(error)];
  const state = causes.map(sqlStateOf).find((found) => found !== undefined);
  if (state !== undefined) {
    const name = transientStates[state];
    const undone = undoneStates.test(state) && !causes.some((cause) => cause instanceof FenceFault);
    return { sqlState: state, name: name ?? messageOf(causes), transient: name !== undefined, undone };
  }
  const own = causes.find(
    (cause) => cause instanceof CommitFault || cause instanceof ClientDeadlineFault || cause instanceof UnusableDatabaseFault,
  );
  const undone = causes.some(isNeverSent);
  if (own) return { sqlState: undefined, name: (own as Error).name, transient: true, undone };
  return { sqlState: undefined, name: messageOf(causes), transient: causes.some(isConnectionFault), undone };
}

/** Whether the session is still usable. Judged by SQLSTATE, because the severity is localised. @param error thrown by pg */
export function sparesSession(error: unknown): boolean {
  return error instanceof pg.DatabaseError && statementStates.test(error.code ?? '');
}

const checkViolation = '23514';

/** Whether a CHECK rejected a statement. Postgres names the constraint in every language of the message. */
export function violates(error: unknown, constraint: string): boolean {
  if (classify(error).sqlState !== checkViolation) return false;
  return [...chain(error)].some((cause) => Object.values(cause as object).some((text) => String(text).includes(`"${constraint}"`)));
}

/** An error and its chain of causes. */
function* chain(error: unknown): Generator {
  let current = error;
  for (let depth = 0; depth < 8 && typeof current === 'object' && current !== null; depth += 1) {
    yield current;
    const { meta, cause } = current as { meta?: { driverAdapterError?: unknown }; cause?: unknown };
    current = meta?.driverAdapterError ?? cause;
  }
}

function sqlStateOf(cause: unknown): string | undefined {
  const { code, originalCode } = cause as { code?: unknown; originalCode?: unknown };
  for (const candidate of [originalCode, code]) {
    if (typeof candidate === 'string' && /^[0-9A-Z]{5}$/.test(candidate) && !/^P[12]\d{3}$|^E[A-Z]{4}$/.test(candidate)) {
      return candidate;
    }
  }
  return undefined;
}

/** Whether the connection was never established, so that nothing was sent. */
function isNeverSent(cause: unknown): boolean {
  const { kind, message } = cause as { kind?: unknown; message?: unknown };
  return (
    cause instanceof UnusableDatabaseFault ||
    kind === 'DatabaseNotReachable' ||
    (typeof message === 'string' && /when trying to connect|connection timeout/i.test(message))
  );
}

function isConnectionFault(cause: unknown): boolean {
  const { kind, code, message } = cause as { kind?: unknown; code?: unknown; message?: unknown };
  return (
    (typeof kind === 'string' && connectionKinds.includes(kind)) ||
    (typeof code === 'string' && connectionCodes.includes(code)) ||
    (typeof message === 'string' && connectionWords.test(message))
  );
}

function messageOf(causes: readonly unknown[]): string {
  const deepest = causes.findLast((cause): cause is Error => cause instanceof Error);
  return deepest?.message ?? 'unknown fault';
}
