import { v7 as uuidv7 } from 'uuid';

export interface InsertedEvent {
  readonly id: string;
  readonly quota: number;
  readonly limit: number;
}

/**
 * Puts events on sale by SQL alone: for tests whose server no replica and no pool of the program reaches. All others make
 * events as the program does, with `makeEvent` of client.ts over HTTP or `newEvent` of sales.ts without.
 */
export async function insertEvents(
  query: (statement: string, values: unknown[]) => Promise<unknown>,
  events: readonly Omit<InsertedEvent, 'id'>[],
): Promise<InsertedEvent[]> {
  const made = events.map(({ quota, limit }) => ({ id: uuidv7(), quota, limit }));
  await query(
    `INSERT INTO events (id, name, total_quota, available, max_purchase_limit)
     SELECT id, 'inserted', quota, quota, most FROM unnest($1::uuid[], $2::int[], $3::int[]) AS made (id, quota, most)`,
    [made.map(({ id }) => id), made.map(({ quota }) => quota), made.map(({ limit }) => limit)],
  );
  return made;
}
