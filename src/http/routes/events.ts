import type { IRouter, RequestHandler } from 'express';
import type { PrismaClient } from '../../db/client.js';
import type { Availability } from '../../sale/availability.js';
import { impossible } from '../../sale/types.js';
import { listEvents } from '../../sql/listEvents.js';
import type { EventRow } from '../../sql/eventColumns.js';
import type { Bounded } from '../middleware/bounded.js';
import { Problem } from '../contract/problems.js';
import { tooMany } from '../contract/requestProblems.js';
import { resource } from './resource.js';
import { id, page, toEvent } from '../contract/schemas.js';
import { sendJson, sendText } from '../middleware/send.js';
import { validate } from '../middleware/validate.js';

/**
 * The buyers' routes for events.
 *
 * @param before middleware in front of each route
 * @param lists bounds the lists in progress
 */
export function events(
  router: IRouter,
  before: RequestHandler,
  lists: Bounded,
  availability: Availability,
  reads: Pick<PrismaClient, '$queryRaw'>,
): void {
  const show: RequestHandler<{ event_id: string }> = async (req, res) => {
    const outcome = await availability.read(validate(id, req.params.event_id, 'path', 'event_id'));
    switch (outcome.kind) {
      case 'found':
        sendText(res, 200, textOf(outcome.event));
        return;
      case 'event-not-found':
        throw new Problem('event-not-found', 'There is no event with this id.');
      case 'overloaded':
        throw tooMany('reads', outcome.retryAfterSeconds);
      default:
        impossible(outcome);
    }
  };

  resource(router, '/events', { get: [before, lists(pageOfEvents(reads))] });
  resource(router, '/events/:event_id', { get: [before, show as RequestHandler] });
}

/** The JSON text of a row. Reads that shared a query also share the row, so it is serialised once. */
const texts = new WeakMap<EventRow, string>();

function textOf(event: EventRow): string {
  let text = texts.get(event);
  if (text === undefined) {
    text = JSON.stringify(toEvent(event));
    texts.set(event, text);
  }
  return text;
}

/** `?limit=&cursor=`, newest first. The cursor is the last id of the previous page. */
export function pageOfEvents(db: Pick<PrismaClient, '$queryRaw'>): RequestHandler {
  return async (req, res) => {
    const { limit, cursor } = validate(page, req.query, 'query');
    const rows = await listEvents(db, { after: cursor, limit: limit + 1 });
    const shown = rows.slice(0, limit);
    sendJson(res, 200, { data: shown.map(toEvent), next_cursor: rows.length > limit ? (shown.at(-1)?.id ?? null) : null });
  };
}
