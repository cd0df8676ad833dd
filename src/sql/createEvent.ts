import type { PrismaClient } from '../db/client.js';
import type { RuleValues } from '../sale/types.js';
import type { EventRow } from './eventColumns.js';

export interface NewEvent extends RuleValues {
  /** UUIDv7 */
  readonly id: string;
  readonly name: string;
  readonly totalQuota: number;
}

/** Makes an event with all of its quota available. Its times are the database's, as all times are (`dbgenerated` in the schema). */
export async function createEvent(db: Pick<PrismaClient, 'event'>, event: NewEvent): Promise<EventRow> {
  return db.event.create({ data: { ...event, available: event.totalQuota } });
}
