import type { IRouter, RequestHandler, Response } from 'express';
import type { PrismaClient } from '../../db/client.js';
import { isHidden } from '../../sale/decide.js';
import { newPurchaseId } from '../../sale/ids.js';
import type { Outcome, PurchaseRequest } from '../../sale/types.js';
import type { Sale } from '../../sale/sale.js';
import { readPurchase } from '../../sql/readPurchase.js';
import type { Bounded } from '../middleware/bounded.js';
import type { Callers } from '../middleware/callers.js';
import { admittedByGate, type RefuseEarly } from '../server/gate.js';
import { idempotencyKey } from '../middleware/idempotencyKey.js';
import { jsonBody } from '../middleware/jsonBody.js';
import { Problem, problemOf, sendProblem } from '../contract/problems.js';
import { buyerMismatch } from '../contract/requestProblems.js';
import type { Refusals } from '../server/refusals.js';
import { eventIdOf, purchaseIdsOf } from './params.js';
import { resource } from './resource.js';
import { action, newPurchase, toPurchase } from '../contract/schemas.js';
import { sendJson } from '../middleware/send.js';
import { validate } from '../middleware/validate.js';

/** Up to 300 characters of buyer and reference, each as two `\uXXXX` escapes, and about a hundred bytes. */
const bodyBytesMax = 4_096;

export interface PurchasesDeps {
  /** Middleware in front of each route. */
  readonly before: RequestHandler;
  readonly refuseEarly: RefuseEarly;
  readonly refusals: Pick<Refusals, 'enqueue'>;
  readonly callers: Callers;
  /** Bounds the look-ups in progress. */
  readonly lookups: Bounded;
  readonly sale: Pick<Sale, 'sell' | 'confirm'>;
  readonly reads: Pick<PrismaClient, '$queryRaw'>;
}

type EventParams = Record<'event_id', string>;
type PurchaseParams = Record<'event_id' | 'purchase_id', string>;

/** The routes that buy tickets, look a purchase up, confirm and release it. */
export function purchases(router: IRouter, { before, refuseEarly, refusals, callers, lookups, sale, reads }: PurchasesDeps): void {
  /** Repeats the gate's check, before the body is read, for spellings of the path that the gate does not recognise. */
  const enter: RequestHandler<EventParams> = (req, res, next) => {
    req.params.event_id = eventIdOf(req.params);
    if (admittedByGate(req) || !refuseEarly(res, req.params.event_id)) next();
  };

  const buy: RequestHandler<EventParams> = async (req, res) => {
    const request = readRequest(req.headers['idempotency-key'], req.body, callers.buyerOf(req));
    const outcome = await sale.sell(req.params.event_id, request, () => req.socket.destroyed);
    deliver(res, outcome, refusals);
  };

  const lookUp: RequestHandler<PurchaseParams> = async (req, res) => {
    const { eventId, purchaseId } = purchaseIdsOf(req.params);
    const purchase = await readPurchase(reads, eventId, purchaseId);
    if (!purchase || isHidden(purchase, callers.buyerOf(req)))
      throw new Problem('purchase-not-found', `Event ${eventId} has no purchase ${purchaseId}.`);
    sendJson(res, 200, toPurchase(purchase));
  };

  const confirm: RequestHandler<PurchaseParams> = async (req, res) => {
    const ids = purchaseIdsOf(req.params);
    validate(action, req.body === undefined ? {} : req.body, 'body');
    deliver(res, await sale.confirm({ kind: 'confirm', ...ids }), refusals);
  };

  const release: RequestHandler<PurchaseParams> = async (req, res) => {
    const { eventId, purchaseId } = purchaseIdsOf(req.params);
    validate(action, req.body === undefined ? {} : req.body, 'body');
    const request = { kind: 'release', purchaseId, asBuyer: callers.buyerOf(req) } as const;
    deliver(res, await sale.sell(eventId, request, () => req.socket.destroyed), refusals);
  };

  const body = jsonBody(bodyBytesMax);
  // The token is checked before the body is read, so that a request without one costs little.
  const { requireBuyer, recogniseBuyer, requireSeller } = callers;
  resource(router, '/events/:event_id/purchases', {
    post: [before, enter as RequestHandler, ...requireBuyer, body, buy as RequestHandler],
  });
  resource(router, '/events/:event_id/purchases/:purchase_id', {
    get: [before, ...recogniseBuyer, lookups(lookUp as RequestHandler)], // outside of the bounds: a token waits for no connection
  });
  resource(router, '/events/:event_id/purchases/:purchase_id/confirm', { post: [before, requireSeller, body, confirm as RequestHandler] });
  resource(router, '/events/:event_id/purchases/:purchase_id/release', {
    post: [before, ...requireBuyer, body, release as RequestHandler],
  });
}

/** @throws Problem `validation`, `buyer-mismatch` */
function readRequest(keyHeader: string | string[] | undefined, given: unknown, asBuyer: string | undefined): PurchaseRequest {
  const key = idempotencyKey(keyHeader);
  const { quantity, buyer_id: named, reference } = validate(newPurchase, given, 'body');
  if (asBuyer !== undefined && named !== undefined && named !== asBuyer) {
    throw buyerMismatch();
  }
  const buyerId = named ?? asBuyer;
  // The fingerprint is what was understood of the body: it is short, and does not depend on the client's formatting.
  const fingerprint = JSON.stringify({ quantity, buyer_id: buyerId, reference });
  return {
    kind: 'buy',
    purchaseId: newPurchaseId(),
    quantity,
    buyerId: buyerId ?? null,
    reference: reference ?? null,
    idempotency: key === null ? null : { key, fingerprint },
    asBuyer,
  };
}

/** Sends the answer to an outcome of the sale. Refusals that a client can provoke at will count towards the rate of refusals. */
export function deliver(res: Response, outcome: Outcome, refusals: Pick<Refusals, 'enqueue'>): void {
  if (!isProvocable(outcome)) answer(res, outcome);
  else {
    refusals.enqueue(res, () => {
      answer(res, outcome);
    });
  }
}

/** A request that was queued until its deadline does not count: it must be answered by the deadline. */
function isProvocable(outcome: Outcome): boolean {
  if (outcome.kind === 'overloaded') return outcome.reason !== 'too late' && outcome.reason !== 'client gone';
  return outcome.kind === 'event-not-found' || outcome.kind === 'purchase-not-found';
}

function answer(res: Response, outcome: Outcome): void {
  switch (outcome.kind) {
    case 'granted':
      if (outcome.replayed) res.setHeader('Idempotency-Replayed', 'true');
      res.setHeader('Location', `/events/${outcome.purchase.eventId}/purchases/${outcome.purchase.id}`);
      sendJson(res, 201, toPurchase(outcome.purchase));
      break;
    case 'settled':
      sendJson(res, 200, toPurchase(outcome.purchase));
      break;
    default:
      // Not thrown: at the end of a sale nearly every request is refused, and a stack trace costs more than the answer.
      sendProblem(res, problemOf(outcome));
  }
}
