/** Holds for the tests of this folder: made by the sale, and then locked, confirmed or ended at the moment that a test chooses. */
import { expect } from '@jest/globals';
import type { Pool } from '../../src/db/client.js';
import { newNumberableId } from '../../src/sale/ids.js';
import type { PurchaseRequest } from '../../src/sale/types.js';
import { confirmPurchases } from '../../src/sql/confirmPurchases.js';
import type { FileDatabase } from '../support/database.js';
import { type AnySale, request } from '../support/sales.js';
import { later, type Session, untilBlockedBy, withSessions } from './sessions.js';

type Database = Pick<FileDatabase, 'url' | 'sql'>;

/** @returns the ids of the holds, in the order of the quantities */
export async function hold(sale: AnySale, eventId: string, ...quantities: readonly number[]): Promise<string[]> {
  const requests = quantities.map((quantity) => request(quantity));
  await holdAll(sale, eventId, requests);
  return requests.map(({ purchaseId }) => purchaseId);
}

export async function holdAll(sale: AnySale, eventId: string, requests: readonly PurchaseRequest[]): Promise<void> {
  const outcomes = await Promise.all(requests.map((each) => sale.sell(eventId, each)));
  for (const outcome of outcomes) expect(outcome).toMatchObject({ kind: 'granted', purchase: { status: 'held' } });
}

/** Shortens holds, so that they expire after this number of seconds. */
export async function endHolds({ sql }: Pick<Database, 'sql'>, ids: readonly string[], seconds = 0): Promise<Date> {
  const { rows } = await sql.query<{ expires_at: Date }>(
    `UPDATE purchases SET expires_at = clock_timestamp() + make_interval(secs => $2) WHERE id = ANY ($1) RETURNING expires_at`,
    [ids, seconds],
  );
  expect(rows).toHaveLength(ids.length);
  return rows[0]!.expires_at;
}

/** Locks purchases, and changes nothing: whoever waits for one finds the same version of its row, in the order of arrival. */
export async function lockHolds(session: Session, ids: readonly string[]): Promise<void> {
  await session.query('BEGIN');
  const { rowCount } = await session.query('SELECT FROM purchases WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE', [ids]);
  expect(rowCount).toBe(ids.length);
}

/** Likewise the row of the event. */
export async function lockEventRow(session: Session, eventId: string): Promise<void> {
  await session.query('BEGIN');
  const { rowCount } = await session.query('SELECT FROM events WHERE id = $1 FOR NO KEY UPDATE', [eventId]);
  expect(rowCount).toBe(1);
}

/**
 * Starts several pieces of work that need the same lock, each when the one before it is seen to wait.
 *
 * @param holder the session that has the lock
 * @param release called when all of them wait
 */
export async function inOrder<T>(
  { sql }: Pick<Database, 'sql'>,
  holder: number,
  works: readonly (() => Promise<T>)[],
  release: () => Promise<unknown>,
): Promise<T[]> {
  const results: Promise<T>[] = [];
  let ahead = holder;
  for (const work of works) {
    results.push(later(work()));
    ahead = await untilBlockedBy(sql, ahead);
  }
  await release();
  return Promise.all(results);
}

/** The same, where a session of the test's own holds the lock. */
export async function queueUp<T>(
  database: Database,
  lock: (holder: Session) => Promise<void>,
  works: readonly (() => Promise<T>)[],
): Promise<T[]> {
  return withSessions(database.url, 1, async (holder) => {
    await lock(holder);
    return inOrder(database, holder.pid, works, () => holder.query('COMMIT'));
  });
}

/**
 * Has a piece of work wait for a lock from before a moment until after it. On a busy machine the wait may begin too late; then it is
 * arranged again with a later moment.
 *
 * @param arrange makes the moment this number of seconds away, takes the lock, and returns the work that will wait for it
 */
export async function waitAcross<T>(
  { url, sql }: Database,
  arrange: (holder: Session, seconds: number) => Promise<{ readonly moment: Date; readonly work: () => Promise<T> }>,
): Promise<T> {
  for (let seconds = 1; seconds <= 8; seconds *= 2) {
    const result = await withSessions(url, 1, async (holder): Promise<{ readonly value: T } | undefined> => {
      const { moment, work } = await arrange(holder, seconds);
      const working = later(work());
      const waiting = await untilBlockedBy(sql, holder.pid);
      const { rows } = await sql.query('SELECT FROM pg_stat_activity WHERE pid = $1 AND query_start < $2', [waiting, moment]);
      await untilPassed({ sql }, moment);
      await holder.query('COMMIT');
      const value = await working;
      return rows.length === 1 ? { value } : undefined;
    });
    if (result) return result.value;
  }
  throw new Error('no wait began before the moment');
}

/** Resolves when the moment has passed by the database's clock, whatever that of this process says. */
export async function untilPassed({ sql }: Pick<Database, 'sql'>, moment: Date): Promise<void> {
  await sql.query('SELECT pg_sleep(greatest(0, extract(epoch FROM $1::timestamptz - clock_timestamp()) + 0.002))', [moment]);
}

export interface Confirming {
  /** The session that has confirmed and not committed. */
  readonly pid: number;
  readonly end: (how: 'COMMIT' | 'ROLLBACK') => Promise<void>;
}

/** Confirms holds just before they expire, as the sale does, in a transaction that stays open until they have expired. */
export async function confirmUntilExpired(pool: Pool, database: Database, eventId: string, ids: readonly string[]): Promise<Confirming> {
  for (let seconds = 0.5; seconds <= 8; seconds *= 2) {
    const moment = await endHolds(database, ids, seconds);
    const confirming = await beginConfirming(pool, eventId, ids);
    if (confirming.confirmed === ids.length) {
      await untilPassed(database, moment);
      return confirming;
    }
    await confirming.end('ROLLBACK');
  }
  throw new Error('no confirmation began in time');
}

async function beginConfirming({ prisma, transaction }: Pool, eventId: string, ids: readonly string[]) {
  const rolledBack = new Error('rolled back, as the test wants it');
  let end!: (how: 'COMMIT' | 'ROLLBACK') => void;
  const ended = new Promise<'COMMIT' | 'ROLLBACK'>((resolve) => (end = resolve));
  let running: Promise<void> = Promise.resolve();
  const begun = new Promise<{ pid: number; confirmed: number }>((resolve, reject) => {
    running = later(
      prisma.$transaction(async (tx) => {
        const [session] = await tx.$queryRaw<{ pid: number }[]>`SELECT pg_backend_pid() AS pid`;
        const confirmations = ids.map((purchaseId) => ({ eventId, purchaseId, firstTicketId: newNumberableId() }));
        const purchases = await confirmPurchases(tx, confirmations);
        resolve({ pid: session!.pid, confirmed: purchases.filter(({ status }) => status === 'confirmed').length });
        if ((await ended) === 'ROLLBACK') throw rolledBack;
      }, transaction),
    );
    running.catch(reject);
  });
  return {
    ...(await begun),
    end: async (how: 'COMMIT' | 'ROLLBACK') => {
      end(how);
      if (how === 'COMMIT') await running;
      else await expect(running).rejects.toBe(rolledBack);
    },
  };
}
