import type { PrismaClient } from '../db/client.js';
import type { RuleChange } from '../sale/types.js';
import { eventColumns, type EventRow, setRules } from './eventColumns.js';

export type EventChange = RuleChange & { readonly name?: string | undefined };

/**
 * Changes what may change. Waits for the batch that holds the row, so a lower limit binds every batch after it: a change of a
 * rule increments the revision, and no statement that rests on rules of another revision sells.
 *
 * @returns undefined when there is no such event
 */
export async function updateEvent(
  db: Pick<PrismaClient, '$queryRaw'>,
  id: string,
  { name, ...rules }: EventChange,
): Promise<EventRow | undefined> {
  const rows = await db.$queryRaw<EventRow[]>`
    UPDATE events
       SET name = coalesce(${name ?? null}::text, name),
           ${setRules(rules)},
           updated_at = statement_timestamp()
     WHERE id = ${id}::uuid
    RETURNING ${eventColumns}`;
  return rows[0];
}
