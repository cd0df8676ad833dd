/** The operations of buyers, and of the seller who confirms their purchases. */
import { z } from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { validate } from '../../middleware/validate.js';
import { missingToken, tooMany, unauthorized } from '../requestProblems.js';
import * as schemas from '../schemas.js';
import { actionBody, body, created, eventPath, location, ok, operation, purchasePath, refusals, withAction, withBody } from './answers.js';
import * as examples from './examples.js';
import { type OwnExamples, problemFrom, tooManyRequests } from './problemExamples.js';

/** 16 to 255 visible characters, bare or as a quoted string. */
const keyPattern = /^(?:[!#-~][!-~]{15,254}|"(?:[!#-[\]-~]|\\["\\]){16,255}")$/;

const keyHeader = z.object({
  'Idempotency-Key': z
    .string()
    .regex(keyPattern)
    .optional()
    .meta({
      description:
        'A key of your choice for this wish to buy, such as a UUID: 16 to 255 visible ASCII characters, bare or as a quoted string. ' +
        'Requests with the same key buy once.',
      examples: ['7c9e6679-7425-40de-944b-e07fc1f90ae7'],
    }),
});
const bought = location.extend({
  'Idempotency-Replayed': z.literal('true').optional().meta({ description: 'An earlier request with this key bought the purchase' }),
});

const seller = [{ sellerToken: [] }, { adminToken: [] }];
/** Needed only where the operator has configured buyers' tokens. */
const buyer = [{}, { buyerToken: [] }, ...seller];

/** Of a purchase. */
const notGranted = [
  'event-not-found',
  'purchase-not-found',
  'sold-out',
  'insufficient-availability',
  'sale-not-started',
  'sale-ended',
  'buyer-limit-exceeded',
  'purchase-limit-exceeded',
  'buyer-required',
  'buyer-mismatch',
  'idempotency-key-reused',
] as const;

const noBuyer: OwnExamples = { unauthorized: unauthorized(undefined, missingToken.buyer) };
const noSeller: OwnExamples = { unauthorized: unauthorized(undefined, missingToken.seller) };
export const wrongAction: OwnExamples = { validation: problemFrom(() => validate(schemas.action, { reason: 'rain' }, 'body')) };
export const wrongPage: OwnExamples = {
  ...tooManyRequests,
  validation: problemFrom(() => validate(schemas.page, { limit: '500', sort: 'name' }, 'query')),
};

const purchaseAs = {
  confirmed: { summary: 'Confirmed', value: examples.confirmed },
  held: { summary: 'Held, because the event has hold_seconds', value: examples.held },
};

const listEvents = operation(
  'listEvents',
  'List events, newest first',
  'A page of at most `limit` events. `next_cursor` is the `cursor` of the next page, and null on the last one.',
  {
    requestParams: { query: schemas.page },
    responses: {
      ...ok('A page of events', schemas.eventPage, examples.only('The last page', examples.pageOf(examples.event))),
      ...refusals(['validation'], wrongPage),
    },
  },
);

const getEvent = operation(
  'getEvent',
  'Show an event with its availability in real time',
  'The availability counts every purchase that was answered before this request arrived.',
  {
    requestParams: { path: eventPath },
    responses: {
      ...ok('The event', schemas.event, {
        'on-sale': { summary: 'On sale', value: examples.event },
        scheduled: { summary: 'Before its sale', value: examples.scheduledEvent },
      }),
      ...refusals(['validation', 'event-not-found'], { overloaded: tooMany('reads', 1) }),
    },
  },
);

const buyTickets = operation(
  'buyTickets',
  'Buy tickets, or hold them if the event has hold_seconds',
  'The purchase is committed before it is answered. Send an `Idempotency-Key`: then the request can be repeated after any failure, and ' +
    'buys once. Where the operator has configured tokens of buyers, the subject of the token is the `buyer_id`.',
  {
    security: buyer,
    requestParams: { path: eventPath, header: keyHeader },
    ...body(schemas.newPurchase, {
      anonymous: { summary: 'Two tickets', value: { quantity: 2 } },
      named: { summary: 'Two tickets for a buyer', value: { quantity: 2, buyer_id: 'customer-17', reference: 'order 4711' } },
    }),
    responses: {
      ...created('The purchase; with `Idempotency-Replayed: true` if an earlier request bought it', schemas.purchase, purchaseAs, bought),
      ...refusals([...withBody, 'unauthorized', ...notGranted, 'outcome-unknown'], {
        ...noBuyer,
        validation: problemFrom(() => validate(schemas.newPurchase, { quantity: 0, price: 5 }, 'body')),
      }),
    },
  },
);

const getPurchase = operation(
  'getPurchase',
  'Show a purchase',
  'Knowing its id grants access to it, unless the operator has configured tokens of buyers: then it is shown to its own buyer, to the ' +
    'seller and to the admin, and does not exist for others.',
  {
    security: buyer,
    requestParams: { path: purchasePath },
    responses: {
      ...ok('The purchase', schemas.purchase, {
        ...purchaseAs,
        released: { summary: 'Released', value: examples.released },
        expired: { summary: 'Expired', value: examples.expired },
        cancelled: { summary: 'Cancelled', value: examples.cancelled },
      }),
      ...refusals(['validation', 'unauthorized', 'purchase-not-found'], { ...noBuyer, ...tooManyRequests }),
    },
  },
);

const confirmPurchase = operation(
  'confirmPurchase',
  'Confirm a held purchase: its tickets are issued',
  "For the seller's back end, once it has the payment. Repeat the request after any failure: a confirmed purchase stays confirmed.",
  {
    security: seller,
    requestParams: { path: purchasePath },
    requestBody: actionBody,
    responses: {
      ...ok('The purchase, confirmed; the same if it is repeated', schemas.purchase, examples.only('Confirmed', examples.confirmed)),
      ...refusals([...withAction, 'hold-expired', 'hold-released', 'purchase-cancelled'], { ...noSeller, ...wrongAction }),
    },
  },
);

const releasePurchase = operation(
  'releasePurchase',
  'Release a held purchase: its tickets are available again',
  'For anyone who knows the id of the purchase or, where the operator has configured tokens of buyers, for its own buyer.',
  {
    security: buyer,
    requestParams: { path: purchasePath },
    requestBody: actionBody,
    responses: {
      ...ok('The purchase, released; as it is if it was released before or has expired', schemas.purchase, {
        released: { summary: 'Released', value: examples.released },
        expired: { summary: 'It had expired', value: examples.expired },
      }),
      ...refusals([...withAction, 'event-not-found', 'purchase-confirmed', 'purchase-cancelled'], { ...noBuyer, ...wrongAction }),
    },
  },
);

export const buyerPaths: ZodOpenApiPathsObject = {
  '/events': { get: listEvents },
  '/events/{event_id}': { get: getEvent },
  '/events/{event_id}/purchases': { post: buyTickets },
  '/events/{event_id}/purchases/{purchase_id}': { get: getPurchase },
  '/events/{event_id}/purchases/{purchase_id}/release': { post: releasePurchase },
};
export const sellerPaths: ZodOpenApiPathsObject = {
  '/events/{event_id}/purchases/{purchase_id}/confirm': { post: confirmPurchase },
};
