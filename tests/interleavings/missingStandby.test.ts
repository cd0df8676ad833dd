/**
 * Goal: an answer that was given behind the row lock is as durable as what it tells: if the purchase is not on the standby yet,
 * neither is the answer on its way.
 * Method: a Postgres of this file's own whose synchronous standby does not exist, so that every commit of a sale is stuck until
 * the test lets it go. Sessions that do not ask for the standby see what such a commit shows to others.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import type { Pool } from '../../src/db/client.js';
import { type Embedded, startEmbedded } from '../../src/db/embedded/embedded.js';
import { migrate } from '../../src/db/migrate.js';
import { sellLocked } from '../../src/sale/lockedPath.js';
import { readPurchase } from '../../src/sql/readPurchase.js';
import { openTestPool } from '../support/pool.js';
import { expectConserved, newEvent, request } from '../support/sales.js';
import { later, untilBlockedBy, untilGone, untilWaitingForStandby } from './sessions.js';

let server: Embedded;
let watcher: pg.Pool;
/** Whose commits wait for no standby. */
let local: Pool;
/** Whose commits wait, as those of a sale do. */
let durable: Pool;

beforeAll(async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'onsale-standby-'));
  server = await startEmbedded({ dataDir, settings: { fsync: 'off', synchronous_commit: 'local' } });
  await migrate(server.url);
  watcher = new pg.Pool({ connectionString: server.url });
  const limits = { lockTimeoutMs: 15_000, statementTimeoutMs: 16_000, transactionTimeoutMs: 17_000, clientDeadlineMs: 18_000 };
  local = openTestPool(server.url, limits);
  durable = openTestPool(`${server.url}?options=-c%20synchronous_commit%3Don`, limits);
});
afterAll(async () => {
  await Promise.all([local.close(), durable.close(), watcher.end()]);
  await server.stop();
  await rm(server.dataDir, { recursive: true });
});

async function requireStandby(name: 'nobody' | ''): Promise<void> {
  await watcher.query(`ALTER SYSTEM SET synchronous_standby_names = '${name}'`);
  await watcher.query('SELECT pg_reload_conf()');
}

test('a commit without its standby cannot be seen, keeps its lock, and what is read behind it as an existing purchase waits for the standby too', async () => {
  const eventId = await newEvent(local, 5);
  const wanted = request(2);
  await requireStandby('nobody');
  const lost = later(sellLocked(durable, eventId, [wanted], false));
  const stuck = await untilWaitingForStandby(watcher);
  await expect(readPurchase(local.prisma, eventId, wanted.purchaseId)).resolves.toBeUndefined();

  const answered: string[] = [];
  const again = later(sellLocked(durable, eventId, [wanted], false).then(({ outcomes }) => (answered.push('answered'), outcomes)));
  const waiting = await untilBlockedBy(watcher, stuck);
  await watcher.query('SELECT pg_terminate_backend($1)', [stuck]);
  await expect(lost).rejects.toMatchObject({ name: 'AttemptFault', doubt: 'in doubt' });
  await untilGone(watcher, stuck);

  // Ended, it has happened all the same: on this server alone. The second attempt sees it, wrote nothing, and still waits.
  await expect(untilWaitingForStandby(watcher)).resolves.toBe(waiting);
  await expect(readPurchase(local.prisma, eventId, wanted.purchaseId)).resolves.toMatchObject({ quantity: 2 });
  expect(answered).toEqual([]);

  await requireStandby('');
  await expect(again).resolves.toMatchObject([{ kind: 'granted', purchase: { id: wanted.purchaseId }, replayed: false }]);
  await expectConserved(local, eventId, 2);
});
