/**
 * Sessions whose every step a test decides. That one waits for another is seen in the server before the test goes on;
 * nothing is left to a pause that may be too short.
 */
import { expect } from '@jest/globals';
import pg from 'pg';
import { v7 as uuidv7 } from 'uuid';
import type { PurchaseRequest } from '../../src/sale/types.js';

/** One connection, and the number by which the server knows it. */
export type Session = pg.Client & { readonly pid: number };

export async function openSession(url: string): Promise<Session> {
  const client = new pg.Client({ connectionString: url, application_name: 'interleaving' });
  client.on('error', () => {
    // Some tests have the server end a session; the statement under way says so.
  });
  await client.connect();
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return Object.assign(client, { pid: rows[0]!.pid });
}

/** Runs a test in sessions of its own. */
export async function withSessions<T>(url: string, count: number, work: (...sessions: Session[]) => Promise<T>): Promise<T> {
  const sessions = await Promise.all(Array.from({ length: count }, () => openSession(url)));
  try {
    return await work(...sessions);
  } finally {
    await Promise.all(sessions.map((session) => session.end()));
  }
}

/** Asked again and again until somebody is there; after ten seconds the test has failed. */
async function untilThere(watcher: pg.Pool, condition: string, values: readonly unknown[]): Promise<number> {
  for (let attempt = 0; attempt < 500; attempt += 1) {
    const { rows } = await watcher.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND ${condition} ORDER BY pid LIMIT 1`,
      [...values],
    );
    if (rows[0]) return rows[0].pid;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`nobody came to where ${condition}, for ${JSON.stringify(values)}`);
}

/** @returns the session that waits for a lock which the session `pid` holds */
export function untilBlockedBy(watcher: pg.Pool, pid: number): Promise<number> {
  return untilThere(watcher, `wait_event_type = 'Lock' AND $1 = ANY (pg_blocking_pids(pid))`, [pid]);
}

/** @returns a session that waits for any lock */
export function untilWaiting(watcher: pg.Pool): Promise<number> {
  return untilThere(watcher, `wait_event_type = 'Lock'`, []);
}

/** @returns the session whose commit waits for the synchronous standby */
export function untilWaitingForStandby(watcher: pg.Pool): Promise<number> {
  return untilThere(watcher, `wait_event = 'SyncRep'`, []);
}

/** Resolves when the session is no more: it cannot do anything later. */
export async function untilGone(watcher: pg.Pool, pid: number): Promise<void> {
  await untilThere(watcher, `pid = pg_backend_pid() AND NOT EXISTS (SELECT FROM pg_stat_activity gone WHERE gone.pid = $1)`, [pid]);
}

/** A promise that a test does not await yet: its rejection is for later. */
export function later<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

/** Writes a purchase and its tickets, and nothing else: what is available is for the test to say. */
export async function insertPurchase(session: Session, eventId: string, bought: PurchaseRequest): Promise<void> {
  const { purchaseId, quantity, idempotency } = bought;
  await session.query(
    `INSERT INTO purchases (event_id, id, quantity, idempotency_key, request_fingerprint, created_at) VALUES ($1, $2, $3, $4, $5, now())`,
    [eventId, purchaseId, quantity, idempotency?.key ?? null, idempotency?.fingerprint ?? null],
  );
  for (let ticket = 0; ticket < quantity; ticket += 1) {
    await session.query('INSERT INTO tickets (event_id, id, purchase_id) VALUES ($1, $2, $3)', [eventId, uuidv7(), purchaseId]);
  }
}

/** Takes tickets off what is available, and with it the event's row lock until the end of the transaction. */
export async function take(session: Session, eventId: string, quantity: number): Promise<void> {
  const { rowCount } = await session.query('UPDATE events SET available = available - $2 WHERE id = $1', [eventId, quantity]);
  expect(rowCount).toBe(1);
}
