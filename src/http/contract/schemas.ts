/**
 * The schemas of the contract. They validate requests and describe them in the OpenAPI document.
 */
import { z } from 'zod';
import type { EventRow } from '../../sql/eventColumns.js';
import type { Purchase } from '../../sale/types.js';
import { catalogue, type ProblemCode } from './problems.js';
import { contradictions, must, newRules, rules, showRules, wholeNumber } from './rules.js';

/** Any UUID; ids made by this service are UUIDv7 in lower case. */
export const id = z
  .guid('must be a UUID')
  .transform((text) => text.toLowerCase())
  .meta({ type: 'string', format: 'uuid', examples: ['019aab5c-4c2e-7d0b-9a52-0d7f3a9c1e44'] });

// eslint-disable-next-line no-control-regex -- it must match them: Postgres rejects NUL, and terminals interpret the others
const controlCharacter = /[\u0000-\u001f\u007f-\u009f]/;

/** Lengths are in code points, as in Postgres and JSON Schema, not in UTF-16 units. */
const text = (lengthMin: number, lengthMax: number) =>
  z
    .string(must('must be a string'))
    .refine((value) => value.length >= lengthMin, 'must not be empty')
    .refine((value) => Array.from(value).length <= lengthMax, `must have at most ${String(lengthMax)} characters`)
    .refine((value) => !controlCharacter.test(value), 'must not contain control characters')
    .refine((value) => value.isWellFormed(), 'must be well-formed Unicode')
    .meta({ minLength: lengthMin, maxLength: lengthMax });

const name = text(1, 200).meta({ examples: ['The last night of the tour'] });
const reference = text(0, 200).meta({ examples: ['order 4711'] });
/** Visible characters: letters, marks, numbers, punctuation and symbols. */
export const buyerId = text(1, 100)
  .refine((value) => /^[\p{L}\p{M}\p{N}\p{P}\p{S}]*$/u.test(value), 'must contain only visible characters')
  .meta({ examples: ['customer-17'] });

const totalQuota = wholeNumber(1, 10_000_000).meta({ examples: [100] });

const consistent = <T extends Parameters<typeof contradictions>[0]>(context: z.core.ParsePayload<T>): void => {
  for (const { path, message } of contradictions(context.value)) {
    context.issues.push({ code: 'custom', input: context.value, path: [path], message });
  }
};

export const newEvent = z
  .strictObject({ name, total_quota: totalQuota, ...newRules.shape })
  .check(consistent)
  .meta({ id: 'NewEvent' });

const changeable = z.strictObject({ name, ...rules.shape }).partial();
export const eventChange = changeable
  .refine((change) => Object.keys(change).length > 0, `must name at least one of ${Object.keys(changeable.shape).join(', ')}`)
  .check(consistent)
  .meta({ id: 'EventChange', minProperties: 1 });

/**
 * There is no upper bound: a quantity above the event's limit is valid here, and the sale, which knows the limit, refuses it.
 * JavaScript treats numbers beyond 2^53 as whole numbers, and they exceed every limit.
 */
const quantity = z
  .number(must('must be a whole number, at least 1'))
  .refine((value) => Number.isInteger(value) && value >= 1, 'must be a whole number, at least 1')
  .meta({ type: 'integer', minimum: 1, examples: [2] });

export const newPurchase = z
  .strictObject({ quantity, buyer_id: buyerId.optional(), reference: reference.optional() })
  .meta({ id: 'NewPurchase' });

/** An action has no parameters. */
export const action = z.strictObject({}).meta({ id: 'Action' });

const pageSize = z
  .string('must be given once')
  .regex(/^0*([1-9]\d?|100)$/, 'must be a whole number from 1 to 100')
  .default('20')
  .transform(Number)
  .meta({ type: 'integer', minimum: 1, maximum: 100, default: 20 });

export const page = z.strictObject({ limit: pageSize, cursor: id.optional() });

const statuses = ['held', 'confirmed', 'released', 'expired', 'cancelled'] as const;
const purchaseStatus = z.enum(statuses, `must be one of ${statuses.join(', ')}`);

export const purchaseFilter = z.strictObject({
  status: purchaseStatus.optional(),
  buyer_id: buyerId.optional(),
  reference: reference.optional(),
  ...page.shape,
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
  status: z.enum(['scheduled', 'on_sale', 'sold_out', 'ended']),
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
  .looseObject({
    id,
    event_id: id,
    quantity: z.int().min(1),
    status: purchaseStatus,
    buyer_id: buyerId.nullable(),
    reference: reference.nullable(),
    created_at: time,
    expires_at: time.nullable().meta({ description: 'Null unless held or expired' }),
    tickets: z.array(z.looseObject({ id, status: z.literal('void').optional() })),
  })
  .meta({ id: 'Purchase' });
export const purchasePage = z.looseObject({ data: z.array(purchase), next_cursor: id.nullable() }).meta({ id: 'PurchasePage' });

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
    held_quantity: z.int().optional(),
    max_purchase_limit: z.int().optional(),
    remaining: z.int().optional(),
    sale_starts_at: time.optional(),
    purchase_id: id.optional(),
  })
  .meta({ id: 'Problem' });

export function toEvent(row: EventRow): z.input<typeof event> {
  return {
    id: row.id,
    name: row.name,
    total_quota: row.totalQuota,
    available_quantity: row.available,
    status: eventStatus(row),
    ...showRules(row),
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
  };
}

function eventStatus({ phase, available }: EventRow): z.input<typeof event>['status'] {
  if (phase !== 'open') return phase;
  return available === 0 ? 'sold_out' : 'on_sale';
}

export function toPurchase(row: Purchase): z.input<typeof purchase> {
  const { status, expiresAt } = row;
  return {
    id: row.id,
    event_id: row.eventId,
    quantity: row.quantity,
    status,
    buyer_id: row.buyerId,
    reference: row.reference,
    created_at: row.createdAt.toISOString(),
    expires_at: status === 'held' || status === 'expired' ? (expiresAt?.toISOString() ?? null) : null,
    tickets: row.ticketIds.map((ticketId) => (status === 'cancelled' ? { id: ticketId, status: 'void' } : { id: ticketId })),
  };
}
