import type { PrismaClient } from '../db/client.js';
import type { RuleChange } from '../sale/types.js';
import { eventColumns, type EventRow, setRules } from './eventColumns.js';

export type EventChange = RuleChange & { readonly name?: string | undefined };

/**
 * Changes the name or the rules of an event. It waits for the batch that holds the row, and a changed rule increments the
 * revision: a statement that relies on rules of another revision sells nothing, so a lower limit binds every later batch.
 *
 * @returns undefined if the event does not exist
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
