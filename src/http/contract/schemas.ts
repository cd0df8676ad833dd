/**
 * The schemas of the contract. They validate requests and describe them in the OpenAPI document.
 */
import { z } from 'zod';
import { type Audit, isConserved } from '../../sql/auditEvent.js';
import type { EventRow } from '../../sql/eventColumns.js';
import type { AdminEventRow } from '../../sql/readEventForAdmin.js';
import type { Purchase } from '../../sale/types.js';
import { contradictions, formatOnly, must, newRules, rules, showRules, wholeNumber } from './rules.js';

const uuid = { ...formatOnly, format: 'uuid', examples: ['019aab5c-4c2e-7d0b-9a52-0d7f3a9c1e44'] };
/** Any UUID; ids made by this service are UUIDv7 in lower case. */
export const id = z
  .guid('must be a UUID')
  .meta(uuid)
  .transform((text) => text.toLowerCase())
  .meta({ type: 'string', ...uuid });

/** Postgres rejects NUL, and terminals interpret the others. */
const noControlCharacters = '^[^\\u0000-\\u001f\\u007f-\\u009f]*$';
const visibleCharacters = '^[\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}]*$';
const matches = (pattern: string) => {
  const expression = new RegExp(pattern, 'u');
  return (value: string) => expression.test(value);
};

/** Lengths are in code points, as in Postgres and JSON Schema, not in UTF-16 units. */
const text = (lengthMin: number, lengthMax: number) =>
  z
    .string(must('must be a string'))
    .refine((value) => value.length >= lengthMin, 'must not be empty')
    .refine((value) => Array.from(value).length <= lengthMax, `must have at most ${String(lengthMax)} characters`)
    .refine(matches(noControlCharacters), 'must not contain control characters')
    .refine((value) => value.isWellFormed(), 'must be well-formed Unicode')
    .meta({ minLength: lengthMin, maxLength: lengthMax, pattern: noControlCharacters });

const name = text(1, 200).meta({ examples: ['The last night of the tour'] });
const reference = text(0, 200).meta({
  examples: ['order 4711'],
  description: "The caller's order number or the like: shown again, never interpreted",
});
/** Visible characters: letters, marks, numbers, punctuation and symbols. */
export const buyerId = text(1, 100)
  .refine(matches(visibleCharacters), 'must contain only visible characters')
  .meta({ examples: ['customer-17'], pattern: visibleCharacters });

const totalQuota = wholeNumber(1, 10_000_000).meta({ examples: [100], description: 'The tickets of the event; fixed when it is created' });

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

const pageSizeSchema = { type: 'integer', minimum: 1, maximum: 100, default: 20, pattern: undefined } as const;
const pageSize = z
  .string('must be given once')
  .regex(/^0*([1-9]\d?|100)$/, 'must be a whole number from 1 to 100')
  .default('20')
  .transform(Number)
  // As a number, although it is text in a URL.
  .meta({ override: ({ jsonSchema }: { jsonSchema: object }) => Object.assign(jsonSchema, pageSizeSchema) });

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

const time = z.iso.datetime().meta({ ...formatOnly, examples: ['2026-05-01T18:00:00.000Z'] });

const eventMembers = {
  id,
  name,
  total_quota: totalQuota,
  available_quantity: z
    .int()
    .min(0)
    .meta({ examples: [98], description: 'The tickets that can be bought; expired holds count' }),
  status: z.enum(['scheduled', 'on_sale', 'sold_out', 'ended']).meta({ description: "As of the request, by the database's clock" }),
  ...rules.shape,
  created_at: time,
  updated_at: time,
};
export const event = z.looseObject(eventMembers).meta({ id: 'Event' });
export const eventForAdmin = z
  .looseObject({
    ...eventMembers,
    sold_quantity: z.int().min(0).meta({ description: 'Confirmed tickets' }),
    held_quantity: z.int().min(0).meta({ description: 'Held tickets: they are confirmed, or come back' }),
  })
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
    consistent: z.boolean().meta({ description: 'Whether available + held + sold = total_quota and tickets_issued = sold' }),
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
    tickets: z.array(z.looseObject({ id, status: z.literal('void').optional() })).meta({
      description: 'Exactly `quantity` once the purchase is confirmed, none before; void after a cancellation',
    }),
  })
  .meta({ id: 'Purchase' });
export const purchasePage = z.looseObject({ data: z.array(purchase), next_cursor: id.nullable() }).meta({ id: 'PurchasePage' });

export const home = z
  .looseObject({
    name: z.literal('onsale'),
    events: z.string(),
    docs: z.string().optional(),
    openapi: z.string().optional(),
    readyz: z.string().optional(),
  })
  .meta({ id: 'Home', description: 'The paths that this port serves' });

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

export function toEventForAdmin(row: AdminEventRow): z.input<typeof eventForAdmin> {
  return { ...toEvent(row), sold_quantity: row.sold, held_quantity: row.held };
}

export function toAudit(eventId: string, totals: Audit): z.input<typeof audit> {
  return {
    event_id: eventId,
    total_quota: totals.totalQuota,
    available_quantity: totals.available,
    held_quantity: totals.held,
    sold_quantity: totals.sold,
    tickets_issued: totals.ticketsIssued,
    consistent: isConserved(totals),
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
