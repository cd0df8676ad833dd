/** The rules of an event in the contract: their schemas, and their conversion from and to the domain's. */
import { z } from 'zod';
import type { RuleChange, RuleValues } from '../../sale/types.js';

/** The message for a wrong type; a missing member gets "is required". */
export const must = (message: string) => ({ error: (issue: { input?: unknown }) => (issue.input === undefined ? 'is required' : message) });

export const wholeNumber = (min: number, max: number) =>
  z
    .int(must(`must be a whole number from ${String(min)} to ${String(max)}`))
    .min(min, `must be at least ${String(min)}`)
    .max(max, `must be at most ${String(max)}`);

/** For a schema's meta: in the document a format says enough without zod's pattern for it. */
export const formatOnly = {
  override: ({ jsonSchema }: { jsonSchema: { pattern?: string } }) => {
    delete jsonSchema.pattern;
  },
};

/** Years that Postgres and every client can represent. */
const [earliest, latest] = [Date.UTC(1970, 0), Date.UTC(9999, 11, 31)];
const moment = z.iso
  .datetime({ offset: true, ...must('must be an RFC 3339 time, such as 2026-05-01T18:00:00Z') })
  .refine((text) => Date.parse(text) >= earliest && Date.parse(text) <= latest, 'must be between the years 1970 and 9999')
  .meta({ ...formatOnly, format: 'date-time', examples: ['2026-05-01T18:00:00.000Z'] });

/** Each given when the event is created, changed at any moment of a sale, and shown. */
export const rules = z.object({
  max_purchase_limit: wholeNumber(1, 1_000).meta({ examples: [4], description: 'Tickets in one purchase' }),
  sale_starts_at: moment.nullable().meta({ description: "The sale opens at this moment of the database's clock" }),
  sale_ends_at: moment.nullable().meta({ description: 'The sale ends at this moment; a moment in the past ends it at once' }),
  max_per_buyer: wholeNumber(1, 1_000_000)
    .nullable()
    .meta({ examples: [8], description: 'Tickets of one buyer_id, held and confirmed' }),
  hold_seconds: wholeNumber(10, 3_600)
    .nullable()
    .meta({ examples: [600], description: 'Purchases are held for this time; null: they are confirmed at once' }),
});

/** For a new event: every rule but the limit may be missing, which is the same as null. */
export const newRules = rules.partial().required({ max_purchase_limit: true });

type NewRules = z.output<typeof newRules>;
/** Any of them. */
type SomeRules = { readonly [rule in keyof NewRules]?: NewRules[rule] | undefined };

/** Rules that contradict each other, or the quota. Those that a change does not name are judged by the database. */
export function contradictions(given: SomeRules & { readonly total_quota?: number }): { path: string; message: string }[] {
  const { max_purchase_limit: limit, total_quota: quota, sale_starts_at: startsAt, sale_ends_at: endsAt } = given;
  return [
    ...(limit !== undefined && quota !== undefined && limit > quota ? [limitAboveQuota(quota)] : []),
    ...(startsAt && endsAt && Date.parse(startsAt) >= Date.parse(endsAt) ? [emptyWindow] : []),
  ];
}

export const limitAboveQuota = (quota: number) => ({
  path: 'max_purchase_limit',
  message: `must not exceed total_quota, which is ${String(quota)}`,
});
export const emptyWindow = { path: 'sale_ends_at', message: 'must be later than sale_starts_at' };

export function readRules(given: NewRules): RuleValues {
  const { maxPurchaseLimit = given.max_purchase_limit, saleStartsAt, saleEndsAt, maxPerBuyer, holdSeconds } = readRuleChange(given);
  const orNull = <T>(value: T | null | undefined) => value ?? null;
  return {
    maxPurchaseLimit,
    saleStartsAt: orNull(saleStartsAt),
    saleEndsAt: orNull(saleEndsAt),
    maxPerBuyer: orNull(maxPerBuyer),
    holdSeconds: orNull(holdSeconds),
  };
}

export function readRuleChange(given: SomeRules): RuleChange {
  const time = (text: string | null | undefined) => (typeof text === 'string' ? new Date(text) : text);
  return {
    maxPurchaseLimit: given.max_purchase_limit,
    saleStartsAt: time(given.sale_starts_at),
    saleEndsAt: time(given.sale_ends_at),
    maxPerBuyer: given.max_per_buyer,
    holdSeconds: given.hold_seconds,
  };
}

export function showRules({ maxPurchaseLimit, saleStartsAt, saleEndsAt, maxPerBuyer, holdSeconds }: RuleValues): z.input<typeof rules> {
  return {
    max_purchase_limit: maxPurchaseLimit,
    sale_starts_at: saleStartsAt?.toISOString() ?? null,
    sale_ends_at: saleEndsAt?.toISOString() ?? null,
    max_per_buyer: maxPerBuyer,
    hold_seconds: holdSeconds,
  };
}
