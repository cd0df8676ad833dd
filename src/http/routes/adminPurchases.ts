import type { IRouter, RequestHandler } from 'express';
import type { Logger } from 'pino';
import type { PrismaClient } from '../../db/client.js';
import type { Sale } from '../../sale/sale.js';
import { listPurchases } from '../../sql/listPurchases.js';
import { readEvents } from '../../sql/readEvents.js';
import { action, purchaseFilter, toPurchase } from '../contract/schemas.js';
import type { Bounded } from '../middleware/bounded.js';
import { jsonBody } from '../middleware/jsonBody.js';
import { sendJson } from '../middleware/send.js';
import { validate } from '../middleware/validate.js';
import type { Refusals } from '../server/refusals.js';
import { eventIdOf, found, purchaseIdsOf } from './params.js';
import { deliver } from './purchases.js';
import { resource } from './resource.js';

/** A cancellation takes no body, or `{}`. */
const bodyBytesMax = 1_024;

export interface AdminPurchasesDeps {
  /** Bounds the admin requests in progress. A cancellation is bounded by the sale, whose connections it uses. */
  readonly share: Bounded;
  readonly sale: Pick<Sale, 'sell'>;
  readonly refusals: Pick<Refusals, 'enqueue'>;
  readonly admin: PrismaClient;
  /** Gets a line for each cancellation. */
  readonly log: Pick<Logger, 'info'>;
}

/** The admin's routes for purchases; mount them behind `requireAdmin`. */
export function adminPurchases(router: IRouter, { share, sale, refusals, admin, log }: AdminPurchasesDeps): void {
  const list: RequestHandler = async (req, res) => {
    const eventId = eventIdOf(req.params);
    const { status, buyer_id: buyerId, reference, limit, cursor } = validate(purchaseFilter, req.query, 'query');
    const { purchases, next } = await listPurchases(admin, eventId, { status, buyerId, reference }, { before: cursor, limit });
    if (purchases.length === 0) found((await readEvents(admin, [eventId]))[0], eventId);
    sendJson(res, 200, { data: purchases.map(toPurchase), next_cursor: next ?? null });
  };

  const cancel: RequestHandler = async (req, res) => {
    const { eventId, purchaseId } = purchaseIdsOf(req.params);
    validate(action, req.body === undefined ? {} : req.body, 'body');
    const outcome = await sale.sell(eventId, { kind: 'cancel', purchaseId, asBuyer: undefined }, () => req.socket.destroyed);
    if (outcome.kind === 'settled') {
      // The id of a cancelled purchase gives no power over it, so it may be in the log. A repeated request is logged again.
      const cancelled = { purchase_id: purchaseId, quantity: outcome.purchase.quantity };
      log.info({ request_id: res.getHeader('X-Request-Id'), event_id: eventId, cancelled }, 'the admin cancelled a purchase');
    }
    deliver(res, outcome, refusals);
  };

  resource(router, '/admin/events/:event_id/purchases', { get: [share(list)] });
  resource(router, '/admin/events/:event_id/purchases/:purchase_id/cancel', { post: [jsonBody(bodyBytesMax), cancel] });
}
