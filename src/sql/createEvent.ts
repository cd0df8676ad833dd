import type { PrismaClient } from '../db/client.js';
import type { RuleValues } from '../sale/types.js';
import type { EventRow } from './eventColumns.js';

export interface NewEvent extends RuleValues {
  /** UUIDv7 */
  readonly id: string;
  readonly name: string;
  readonly totalQuota: number;
}

/** Creates an event with its whole quota available. Its times, like all times, come from the database (`dbgenerated` in the schema). */
export async function createEvent(db: Pick<PrismaClient, 'event'>, event: NewEvent): Promise<EventRow> {
  return db.event.create({ data: { ...event, available: event.totalQuota } });
}
