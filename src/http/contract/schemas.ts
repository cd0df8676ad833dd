/**
 * The schemas of the contract. They validate requests and describe them in the OpenAPI document.
 */
import { z } from 'zod';
import type { EventRow } from '../../sql/eventColumns.js';
import type { Purchase, RuleChange, RuleValues } from '../../sale/types.js';
import { catalogue, type ProblemCode } from './problems.js';

/** Any UUID; ids made by this service are UUIDv7 in lower case. */
export const id = z
  .guid('must be a UUID')
  .transform((text) => text.toLowerCase())
  .meta({ type: 'string', format: 'uuid', examples: ['019aab5c-4c2e-7d0b-9a52-0d7f3a9c1e44'] });

// eslint-disable-next-line no-control-regex -- it must match them: Postgres rejects NUL, and terminals interpret the others
const controlCharacter = /[\u0000-\u001f\u007f-\u009f]/;
const nameLengthMax = 200;

/** The message for a wrong type; a missing member gets "is required". */
const must = (message: string) => ({ error: (issue: { input?: unknown }) => (issue.input === undefined ? 'is required' : message) });

/** Lengths are in code points, as in Postgres and JSON Schema, not in UTF-16 units. */
const name = z
  .string(must('must be a string'))
  .refine((text) => text.length > 0, 'must not be empty')
  .refine((text) => Array.from(text).length <= nameLengthMax, `must have at most ${String(nameLengthMax)} characters`)
  .refine((text) => !controlCharacter.test(text), 'must not contain control characters')
  .refine((text) => text.isWellFormed(), 'must be well-formed Unicode')
  .meta({ minLength: 1, maxLength: nameLengthMax, examples: ['The last night of the tour'] });

const wholeNumber = (min: number, max: number) =>
  z
    .int(must(`must be a whole number from ${String(min)} to ${String(max)}`))
    .min(min, `must be at least ${String(min)}`)
    .max(max, `must be at most ${String(max)}`);

const totalQuota = wholeNumber(1, 10_000_000).meta({ examples: [100] });

/** The rules of an event: given when it is created, changed at any moment of a sale, and shown. */
const rules = z.object({ max_purchase_limit: wholeNumber(1, 1_000).meta({ examples: [4] }) });

export const newEvent = z.strictObject({ name, total_quota: totalQuota, ...rules.shape }).meta({ id: 'NewEvent' });

const changeable = z.strictObject({ name, ...rules.shape }).partial();
export const eventChange = changeable
  .refine((change) => Object.keys(change).length > 0, `must name at least one of ${Object.keys(changeable.shape).join(', ')}`)
  .meta({ id: 'EventChange', minProperties: 1 });

/**
 * There is no upper bound: a quantity above the event's limit is valid here, and the sale, which knows the limit, refuses it.
 * JavaScript treats numbers beyond 2^53 as whole numbers, and they exceed every limit.
 */
export const newPurchase = z
  .strictObject({
    quantity: z
      .number(must('must be a whole number, at least 1'))
      .refine((quantity) => Number.isInteger(quantity) && quantity >= 1, 'must be a whole number, at least 1')
      .meta({ type: 'integer', minimum: 1, examples: [2] }),
  })
  .meta({ id: 'NewPurchase' });

export const page = z.strictObject({
  limit: z
    .string('must be given once')
    .regex(/^0*([1-9]\d?|100)$/, 'must be a whole number from 1 to 100')
    .default('20')
    .transform(Number)
    .meta({ type: 'integer', minimum: 1, maximum: 100, default: 20 }),
  cursor: id.optional(),
});

// Answers may gain members, so clients that validate answers must accept unknown ones.

const time = z.iso.datetime().meta({ examples: ['2026-05-01T18:00:00.000Z'] });

const eventMembers = {
  id,
  name,
  total_quota: totalQuota,
  available_quantity: z
    .int()
    .min(0)
    .meta({ examples: [98] }),
  ...rules.shape,
  created_at: time,
  updated_at: time,
};
export const event = z.looseObject(eventMembers).meta({ id: 'Event' });
export const eventForAdmin = z
  .looseObject({ ...eventMembers, sold_quantity: z.int().min(0), held_quantity: z.int().min(0) })
  .meta({ id: 'EventForAdmin' });
export const eventPage = z.looseObject({ data: z.array(event), next_cursor: id.nullable() }).meta({ id: 'EventPage' });

export const audit = z
  .looseObject({
    event_id: id,
    total_quota: totalQuota,
    available_quantity: z.int(),
    held_quantity: z.int(),
    sold_quantity: z.int(),
    tickets_issued: z.int(),
    consistent: z.boolean(),
  })
  .meta({ id: 'Audit' });

export const purchase = z
  .looseObject({ id, event_id: id, quantity: z.int().min(1), created_at: time, tickets: z.array(z.looseObject({ id })) })
  .meta({ id: 'Purchase' });

export const problem = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.enum(Object.keys(catalogue) as [ProblemCode, ...ProblemCode[]]),
    request_id: z.string(),
    errors: z.array(z.looseObject({ in: z.enum(['body', 'path', 'query', 'header']), path: z.string(), message: z.string() })).optional(),
    available_quantity: z.int().optional(),
    max_purchase_limit: z.int().optional(),
    purchase_id: id.optional(),
  })
  .meta({ id: 'Problem' });

export function readRules({ max_purchase_limit: maxPurchaseLimit }: z.output<typeof newEvent>): RuleValues {
  return { maxPurchaseLimit };
}

export function readRuleChange({ max_purchase_limit: maxPurchaseLimit }: z.output<typeof eventChange>): RuleChange {
  return { maxPurchaseLimit };
}

function showRules({ maxPurchaseLimit }: RuleValues): z.input<typeof rules> {
  return { max_purchase_limit: maxPurchaseLimit };
}

export function toEvent(row: EventRow): z.input<typeof event> {
  return {
    id: row.id,
    name: row.name,
    total_quota: row.totalQuota,
    available_quantity: row.available,
    ...showRules(row),
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
  };
}

export function toPurchase(bought: Purchase): z.input<typeof purchase> {
  return {
    id: bought.id,
    event_id: bought.eventId,
    quantity: bought.quantity,
    created_at: bought.createdAt.toISOString(),
    tickets: bought.ticketIds.map((ticketId) => ({ id: ticketId })),
  };
}
