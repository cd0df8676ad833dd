import type { IRouter, RequestHandler } from 'express';
import type { Logger } from 'pino';
import type { PrismaClient } from '../../db/client.js';
import { newId } from '../../sale/ids.js';
import { auditEvent } from '../../sql/auditEvent.js';
import { createEvent } from '../../sql/createEvent.js';
import { readEventForAdmin } from '../../sql/readEventForAdmin.js';
import { updateEvent } from '../../sql/updateEvent.js';
import type { Bounded } from '../middleware/bounded.js';
import { pageOfEvents } from './events.js';
import { jsonBody } from '../middleware/jsonBody.js';
import { quotaFixed } from '../contract/requestProblems.js';
import { eventIdOf, found } from './params.js';
import { resource } from './resource.js';
import { emptyWindow, limitAboveQuota, readRuleChange, readRules } from '../contract/rules.js';
import { eventChange, newEvent, toAudit, toEvent, toEventForAdmin } from '../contract/schemas.js';
import { sendJson } from '../middleware/send.js';
import { invalid, validate } from '../middleware/validate.js';
import { violates } from '../../db/faults.js';

/** A name takes up to 2,400 bytes (200 characters, each as two `\uXXXX` escapes), and the rest of an event about a hundred. */
const bodyBytesMax = 4_096;

/**
 * The admin routes; mount them behind `requireAdmin`.
 *
 * @param share bounds the admin requests in progress
 * @param log gets a line for each change
 */
export function adminEvents(router: IRouter, share: Bounded, db: PrismaClient, log: Pick<Logger, 'info'>): void {
  const create: RequestHandler = async (req, res) => {
    const body = validate(newEvent, req.body, 'body');
    const event = await createEvent(db, { id: newId(), name: body.name, totalQuota: body.total_quota, ...readRules(body) });
    log.info({ request_id: res.getHeader('X-Request-Id'), event_id: event.id, created: body }, 'the admin created an event');
    res.setHeader('Location', `/admin/events/${event.id}`);
    sendJson(res, 201, toEvent(event));
  };

  const show: RequestHandler = async (req, res) => {
    const eventId = eventIdOf(req.params);
    const event = found(await readEventForAdmin(db, eventId), eventId);
    sendJson(res, 200, toEventForAdmin(event));
  };

  const change: RequestHandler = async (req, res) => {
    const eventId = eventIdOf(req.params);
    if (typeof req.body === 'object' && req.body !== null && 'total_quota' in req.body) {
      throw quotaFixed();
    }
    const body = validate(eventChange, req.body, 'body');
    const changed = await updateEvent(db, eventId, { name: body.name, ...readRuleChange(body) }).catch((error: unknown) => {
      throw violates(error, 'events_sale_window') ? invalid([{ in: 'body', ...emptyWindow }]) : error;
    });
    const outcome = found(changed, eventId);
    if (outcome.kind === 'limit above quota') throw invalid([{ in: 'body', ...limitAboveQuota(outcome.totalQuota) }]);
    log.info({ request_id: res.getHeader('X-Request-Id'), event_id: eventId, changed: body }, 'the admin changed an event');
    sendJson(res, 200, toEvent(outcome.event));
  };

  const audit: RequestHandler = async (req, res) => {
    const eventId = eventIdOf(req.params);
    const totals = found(await auditEvent(db, eventId), eventId);
    sendJson(res, 200, toAudit(eventId, totals));
  };

  resource(router, '/admin/events', { get: [share(pageOfEvents(db))], post: [jsonBody(bodyBytesMax), share(create)] });
  resource(router, '/admin/events/:event_id', { get: [share(show)], patch: [jsonBody(bodyBytesMax), share(change)] });
  resource(router, '/admin/events/:event_id/audit', { get: [share(audit)] });
}
