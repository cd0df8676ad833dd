/** The ids in a path, and events that do not exist. */
import { Problem } from '../contract/problems.js';
import { id } from '../contract/schemas.js';
import { validate } from '../middleware/validate.js';

type Params = Readonly<Partial<Record<string, string | string[]>>>;

/** @throws Problem `validation` */
export function eventIdOf(params: Params): string {
  return validate(id, params['event_id'], 'path', 'event_id');
}

/** @throws Problem `validation` */
export function purchaseIdsOf(params: Params): { eventId: string; purchaseId: string } {
  return { eventId: eventIdOf(params), purchaseId: validate(id, params['purchase_id'], 'path', 'purchase_id') };
}

/** @param row of the event. @throws Problem `event-not-found` */
export function found<T>(row: T | undefined, eventId: string): T {
  if (row === undefined) throw new Problem('event-not-found', `Event ${eventId} does not exist.`);
  return row;
}
