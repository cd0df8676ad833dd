/** The operations of the admin. */
import { z } from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { validate } from '../../middleware/validate.js';
import { changeUnknown } from '../requestProblems.js';
import * as schemas from '../schemas.js';
import {
  actionBody,
  answerHeaders,
  body,
  created,
  eventPath,
  ok,
  operation,
  purchasePath,
  refusals,
  text,
  withAction,
  withBody,
} from './answers.js';
import { wrongAction, wrongPage } from './buyer.js';
import * as examples from './examples.js';
import { type OwnExamples, problemFrom, tooManyRequests } from './problemExamples.js';

const admin = [{ adminToken: [] }];
/** Of a change that concerns no purchase. */
const change: OwnExamples = { ...tooManyRequests, 'outcome-unknown': changeUnknown() };

const newEvents = {
  plain: {
    summary: 'Purchases are confirmed at once',
    value: { name: 'The last night of the tour', total_quota: 100, max_purchase_limit: 4 },
  },
  'with-rules': {
    summary: 'Purchases are held for ten minutes, from the start of the sale',
    value: {
      name: 'The last night of the tour',
      total_quota: 100,
      max_purchase_limit: 4,
      sale_starts_at: examples.event.sale_starts_at,
      max_per_buyer: 8,
      hold_seconds: 600,
    },
  },
};
const eventChanges = {
  rename: { summary: 'Another name', value: { name: 'The very last night of the tour' } },
  end: { summary: 'End the sale at once', value: { sale_ends_at: '2026-05-01T17:30:00.000Z' } },
  rules: { summary: 'Other rules', value: { max_purchase_limit: 2, max_per_buyer: null } },
};

const createEvent = operation(
  'createEvent',
  'Create an event',
  'A rule that is null or missing does not apply. Give the quota once: it is fixed.',
  {
    security: admin,
    ...body(schemas.newEvent, newEvents),
    responses: {
      ...created('The event', schemas.event, examples.only('Before its sale', examples.scheduledEvent)),
      ...refusals([...withBody, 'unauthorized', 'outcome-unknown'], {
        ...change,
        validation: problemFrom(() => validate(schemas.newEvent, { name: '', total_quota: 2, max_purchase_limit: 4 }, 'body')),
      }),
    },
  },
);

const listAllEvents = operation(
  'listEventsAsAdmin',
  'List events, newest first',
  'The same page as `listEvents`, from connections to the database that buyers do not use.',
  {
    security: admin,
    requestParams: { query: schemas.page },
    responses: {
      ...ok('A page of events', schemas.eventPage, examples.only('The last page', examples.pageOf(examples.event))),
      ...refusals(['validation', 'unauthorized'], wrongPage),
    },
  },
);

const getEvent = operation(
  'getEventAsAdmin',
  'Show an event with its sold and held quantities',
  'The quantities are derived from the row of the event and its holds; `auditEvent` counts the purchases and tickets themselves.',
  {
    security: admin,
    requestParams: { path: eventPath },
    responses: {
      ...ok('The event', schemas.eventForAdmin, examples.only('On sale', examples.eventForAdmin)),
      ...refusals(['validation', 'unauthorized', 'event-not-found'], tooManyRequests),
    },
  },
);

const changeEvent = operation(
  'changeEvent',
  'Change the name or the rules of an event, at any moment of its sale',
  'A change applies to requests that are answered after it; purchases that exist keep what they were granted. A `sale_ends_at` in the ' +
    'past ends the sale, null or the future resumes it. Members that are not named stay as they are.',
  {
    security: admin,
    requestParams: { path: eventPath },
    ...body(schemas.eventChange, eventChanges),
    responses: {
      ...ok('The event', schemas.event, examples.only('On sale', examples.event)),
      ...refusals([...withBody, 'unauthorized', 'event-not-found', 'quota-fixed', 'outcome-unknown'], {
        ...change,
        validation: problemFrom(() => validate(schemas.eventChange, { max_purchase_limit: 0 }, 'body')),
      }),
    },
  },
);

const auditEvent = operation(
  'auditEvent',
  'Audit an event',
  'Counts the rows of the event in one snapshot, and checks that available + held + sold = total_quota and tickets = sold.',
  {
    security: admin,
    requestParams: { path: eventPath },
    responses: {
      ...ok('The totals', schemas.audit, examples.only('Consistent', examples.audit)),
      ...refusals(['validation', 'unauthorized', 'event-not-found'], tooManyRequests),
    },
  },
);

const listPurchases = operation(
  'listPurchases',
  'List the purchases of an event, newest first',
  'Only those with the given status, buyer and reference. Follow `next_cursor` to the end: a page may have fewer than `limit` purchases, ' +
    'or none, although others follow.',
  {
    security: admin,
    requestParams: { path: eventPath, query: schemas.purchaseFilter },
    responses: {
      ...ok(
        'A page of purchases',
        schemas.purchasePage,
        examples.only('The last page', examples.pageOf(examples.confirmed, examples.expired)),
      ),
      ...refusals(['validation', 'unauthorized', 'event-not-found'], {
        ...tooManyRequests,
        validation: problemFrom(() => validate(schemas.purchaseFilter, { status: 'paid' }, 'query')),
      }),
    },
  },
);

const cancelPurchase = operation(
  'cancelPurchase',
  'Cancel a purchase, held or confirmed',
  'Its tickets are void, and its quantity is available again: once, however often the request is repeated.',
  {
    security: admin,
    requestParams: { path: purchasePath },
    requestBody: actionBody,
    responses: {
      ...ok('The purchase, cancelled; the same if it is repeated', schemas.purchase, examples.only('Cancelled', examples.cancelled)),
      ...refusals([...withAction, 'event-not-found', 'hold-expired', 'hold-released'], wrongAction),
    },
  },
);

const csvHeaders = answerHeaders.extend({
  'Content-Disposition': z.string().meta({ description: 'attachment, with a file name' }),
});

const downloadTickets = operation(
  'downloadTickets',
  'Download the valid tickets of an event as CSV (RFC 4180), as of one moment',
  'Buyers and references are as they were given: let no spreadsheet take them for formulas. If the answer does not end as its transfer ' +
    'encoding says, it is incomplete.',
  {
    security: admin,
    requestParams: { path: eventPath },
    responses: {
      ...text('A header, and a line for each ticket of a confirmed purchase', 'text/csv', examples.ticketsCsv, csvHeaders),
      ...refusals(['validation', 'unauthorized', 'event-not-found'], tooManyRequests),
    },
  },
);

export const adminPaths: ZodOpenApiPathsObject = {
  '/admin/events': { get: listAllEvents, post: createEvent },
  '/admin/events/{event_id}': { get: getEvent, patch: changeEvent },
  '/admin/events/{event_id}/audit': { get: auditEvent },
  '/admin/events/{event_id}/purchases': { get: listPurchases },
  '/admin/events/{event_id}/purchases/{purchase_id}/cancel': { post: cancelPurchase },
  '/admin/events/{event_id}/tickets.csv': { get: downloadTickets },
};
