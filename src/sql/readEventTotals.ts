import type { Queryable } from '../db/client.js';
import { Prisma } from '../generated/prisma/client.js';
import { holdTotals } from './holdTotals.js';

/** What became of an event's quota, in tickets: the three add up to it. */
export interface EventTotals {
  readonly id: string;
  readonly name: string;
  /** Expired holds count as available. */
  readonly available: number;
  readonly held: number;
  readonly sold: number;
}

/**
 * The totals of the newest events, newest first. As for one event (readEventForAdmin.ts) it reads the index entries of the holds and
 * counts no purchases.
 */
export async function readEventTotals(db: Queryable, limit: number): Promise<EventTotals[]> {
  return db.$queryRaw<EventTotals[]>`
    SELECT newest.id, newest.name, (newest.available + holds.total - holds.live)::int AS available, holds.live AS held,
           newest.total_quota - newest.available - holds.total AS sold
      FROM (SELECT id, name, available, total_quota FROM events ORDER BY id DESC LIMIT ${limit}::int) AS newest,
           LATERAL ${holdTotals(Prisma.sql`newest.id`)} AS holds
     ORDER BY newest.id DESC`;
}
