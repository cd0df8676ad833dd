import type { IRouter, RequestHandler, Response } from 'express';
import type { PrismaClient } from '../../db/client.js';
import { newPurchaseId } from '../../sale/ids.js';
import type { Outcome, Purchase } from '../../sale/types.js';
import type { Sale } from '../../sale/sale.js';
import { readPurchase } from '../../sql/readPurchase.js';
import type { Bounded } from '../middleware/bounded.js';
import { admittedByGate, type RefuseEarly } from '../server/gate.js';
import { idempotencyKey } from '../middleware/idempotencyKey.js';
import { jsonBody } from '../middleware/jsonBody.js';
import { Problem, problemOf, sendProblem } from '../contract/problems.js';
import type { Refusals } from '../server/refusals.js';
import { resource } from './resource.js';
import { id, newPurchase, toPurchase } from '../contract/schemas.js';
import { sendJson } from '../middleware/send.js';
import { validate } from '../middleware/validate.js';

/** The body of a purchase is one number; the rest of the limit allows for white space. */
const bodyBytesMax = 1_024;

export interface PurchasesDeps {
  /** Middleware in front of each route. */
  readonly before: RequestHandler;
  readonly refuseEarly: RefuseEarly;
  readonly refusals: Pick<Refusals, 'enqueue'>;
  /** Bounds the look-ups in progress. */
  readonly lookups: Bounded;
  readonly sale: Pick<Sale, 'sell'>;
  readonly reads: Pick<PrismaClient, '$queryRaw'>;
}

/** The routes that buy tickets and look up a purchase. */
export function purchases(router: IRouter, { before, refuseEarly, refusals, lookups, sale, reads }: PurchasesDeps): void {
  /** Repeats the gate's check, before the body is read, for spellings of the path that the gate does not recognise. */
  const enter: RequestHandler<{ event_id: string }> = (req, res, next) => {
    req.params.event_id = validate(id, req.params.event_id, 'path', 'event_id');
    if (admittedByGate(req) || !refuseEarly(res, req.params.event_id)) next();
  };

  const buy: RequestHandler<{ event_id: string }> = async (req, res) => {
    const eventId = req.params.event_id;
    const key = idempotencyKey(req.headers['idempotency-key']);
    const body = validate(newPurchase, req.body, 'body');
    // The fingerprint is the validated body: it is short, and does not depend on the client's formatting.
    const idempotency = key === null ? null : { key, fingerprint: JSON.stringify(body) };
    const outcome = await sale.sell(
      eventId,
      { purchaseId: newPurchaseId(), quantity: body.quantity, idempotency },
      () => req.socket.destroyed,
    );
    if (!isProvocable(outcome)) answer(res, outcome);
    else {
      refusals.enqueue(res, () => {
        answer(res, outcome);
      });
    }
  };

  const lookUp: RequestHandler<{ event_id: string; purchase_id: string }> = async (req, res) => {
    const eventId = validate(id, req.params.event_id, 'path', 'event_id');
    const purchaseId = validate(id, req.params.purchase_id, 'path', 'purchase_id');
    const purchase = await readPurchase(reads, eventId, purchaseId);
    if (!purchase) throw new Problem('purchase-not-found', `Event ${eventId} has no purchase ${purchaseId}.`);
    sendJson(res, 200, toPurchase(purchase));
  };

  resource(router, '/events/:event_id/purchases', {
    post: [before, enter as RequestHandler, jsonBody(bodyBytesMax), buy as RequestHandler],
  });
  resource(router, '/events/:event_id/purchases/:purchase_id', { get: [before, lookups(lookUp as RequestHandler)] });
}

/**
 * Whether a client can provoke this outcome at will. Then the answer counts towards the rate of refusals. A request that was queued
 * until its deadline does not: it must be answered by the deadline.
 */
function isProvocable(outcome: Outcome): boolean {
  if (outcome.kind === 'overloaded') return outcome.reason !== 'too late' && outcome.reason !== 'client gone';
  return outcome.kind === 'event-not-found';
}

/** Sends the answer to an outcome of the sale. */
function answer(res: Response, outcome: Outcome): void {
  if (outcome.kind === 'sold') {
    if (outcome.replayed) res.setHeader('Idempotency-Replayed', 'true');
    created(res, outcome.purchase);
  } else {
    // Not thrown: at the end of a sale nearly every request is refused, and a stack trace costs more than the answer.
    sendProblem(res, problemOf(outcome));
  }
}

function created(res: Response, purchase: Purchase): void {
  res.setHeader('Location', `/events/${purchase.eventId}/purchases/${purchase.id}`);
  sendJson(res, 201, toPurchase(purchase));
}
