/**
 * A fence proves that a server is still the primary. It is a transaction that commits only a message in the WAL, so its commit
 * waits for the synchronous standby, and a promoted standby acknowledges nothing to the server that it replaced. So everything
 * read on the connection before the fence began was current when it was read.
 *
 * `pg_logical_emit_message` needs no table, no privilege and no particular `wal_level`.
 */
import { randomInt } from 'node:crypto';
import { Prisma } from '../generated/prisma/client.js';

/** The class of the advisory locks below; an arbitrary constant. */
const fenceLocks = 7_245_503;
/**
 * The lock of this replica. A backend that waits for its standby ignores timeouts and does not notice that its client has
 * disconnected, so without the standby each fence would leave a backend behind until the server runs out of connections. The
 * backend holds the lock until its commit completes; later fences fail at the lock timeout instead.
 */
const replicaLock = randomInt(2 ** 31);

/** For embedding in a statement whose answer must not be contradicted later. */
export const fence = Prisma.sql`SELECT pg_logical_emit_message(true, 'onsale', '') FROM pg_advisory_xact_lock(${fenceLocks}::int, ${replicaLock}::int)`;

/** The same as a statement of its own, for pg. */
export const fenceStatement = { name: 'onsale_fence', text: fence.text, values: fence.values };
