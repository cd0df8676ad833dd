import type { PrismaClient } from '../db/client.js';
import type { EventRow } from './readEvents.js';

export interface NewEvent {
  /** UUIDv7 */
  readonly id: string;
  readonly name: string;
  readonly totalQuota: number;
  readonly maxPurchaseLimit: number;
}

/** Makes an event with all of its quota available. Its times are the database's, as all times are (`dbgenerated` in the schema). */
export async function createEvent(db: Pick<PrismaClient, 'event'>, event: NewEvent): Promise<EventRow> {
  return db.event.create({ data: { ...event, available: event.totalQuota } });
}
