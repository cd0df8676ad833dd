/** The admin's operations in the OpenAPI document. */
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { actionBody, body, created, eventPath, ok, operation, purchasePath, refusals, text, withAction, withBody } from './openapiParts.js';
import * as schemas from './schemas.js';

const admin = [{ adminToken: [] }];

export const adminPaths: ZodOpenApiPathsObject = {
  '/admin/events': {
    get: operation('List events, newest first', {
      security: admin,
      requestParams: { query: schemas.page },
      responses: { ...ok('A page of events', schemas.eventPage), ...refusals('validation', 'unauthorized') },
    }),
    post: operation('Create an event', {
      security: admin,
      ...body(schemas.newEvent),
      responses: { ...created('The event', schemas.event), ...refusals(...withBody, 'unauthorized', 'outcome-unknown') },
    }),
  },
  '/admin/events/{event_id}': {
    get: operation('Show an event with its sold and held quantities', {
      security: admin,
      requestParams: { path: eventPath },
      responses: { ...ok('The event', schemas.eventForAdmin), ...refusals('validation', 'unauthorized', 'event-not-found') },
    }),
    patch: operation('Change the name or the rules of an event, at any moment of its sale', {
      security: admin,
      requestParams: { path: eventPath },
      ...body(schemas.eventChange),
      responses: {
        ...ok('The event', schemas.event),
        ...refusals(...withBody, 'unauthorized', 'event-not-found', 'quota-fixed', 'outcome-unknown'),
      },
    }),
  },
  '/admin/events/{event_id}/audit': {
    get: operation('Audit an event: count its rows and check that available + held + sold = total_quota and tickets = sold', {
      security: admin,
      requestParams: { path: eventPath },
      responses: { ...ok('The totals', schemas.audit), ...refusals('validation', 'unauthorized', 'event-not-found') },
    }),
  },
  '/admin/events/{event_id}/purchases': {
    get: operation('List the purchases of an event, newest first', {
      security: admin,
      requestParams: { path: eventPath, query: schemas.purchaseFilter },
      responses: {
        ...ok('A page of purchases; it may have fewer than `limit` although others follow', schemas.purchasePage),
        ...refusals('validation', 'unauthorized', 'event-not-found'),
      },
    }),
  },
  '/admin/events/{event_id}/purchases/{purchase_id}/cancel': {
    post: operation('Cancel a purchase, held or confirmed: its tickets are void, and what it took is available again', {
      security: admin,
      requestParams: { path: purchasePath },
      requestBody: actionBody,
      responses: {
        ...ok('The purchase, cancelled; the same if it is repeated', schemas.purchase),
        ...refusals(...withAction, 'event-not-found', 'hold-expired', 'hold-released'),
      },
    }),
  },
  '/admin/events/{event_id}/tickets.csv': {
    get: operation('Download the valid tickets of an event as CSV (RFC 4180), as of one moment', {
      security: admin,
      requestParams: { path: eventPath },
      responses: {
        ...text(
          'A header, and a line for each ticket of a confirmed purchase. Buyers and references are as they were given: let no spreadsheet take ' +
            'them for formulas. If the answer does not end as its transfer encoding says, it is incomplete.',
          'text/csv',
        ),
        ...refusals('validation', 'unauthorized', 'event-not-found'),
      },
    }),
  },
};
