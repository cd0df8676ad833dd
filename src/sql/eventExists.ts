import type { Queryable } from '../db/client.js';

export async function eventExists(db: Queryable, eventId: string): Promise<boolean> {
  const rows = await db.$queryRaw<unknown[]>`SELECT 1 AS found FROM events WHERE id = ${eventId}::uuid`;
  return rows.length > 0;
}
