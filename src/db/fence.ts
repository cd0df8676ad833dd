/**
 * A fence proves that a server is still the primary. It is a transaction that commits nothing but a message in the WAL, so
 * its commit waits for the synchronous standby, and a standby that was promoted acknowledges nothing to the server it replaced.
 * What was read on the connection before the fence began was therefore current then.
 *
 * `pg_logical_emit_message` needs no table, no privilege and no particular `wal_level`.
 */
import { randomInt } from 'node:crypto';
import { Prisma } from '../generated/prisma/client.js';

/** Any constant: the class of the advisory locks below. */
const fenceLocks = 7_245_503;
/**
 * The lock of this replica. A backend that waits for its standby heeds no timeout and does not notice that its client is
 * gone, so while the standby is away each fence would leave one behind until the server is out of connections. The backend holds the lock
 * until its commit is through; the fences after it fail at the lock timeout instead.
 */
const replicaLock = randomInt(2 ** 31);

/** To be embedded in a statement whose answer must not be contradicted later. */
export const fence = Prisma.sql`SELECT pg_logical_emit_message(true, 'onsale', '') FROM pg_advisory_xact_lock(${fenceLocks}::int, ${replicaLock}::int)`;

/** The same by itself, for pg. */
export const fenceStatement = { name: 'onsale_fence', text: fence.text, values: fence.values };
