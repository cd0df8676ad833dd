/** What every statement on events shares: which columns an event and its rules are, and what a statement that sells checks. */
import { Prisma } from '../generated/prisma/client.js';
import type { Phase, RuleChange, Rules } from '../sale/types.js';

/** The part of an event's state that is in its own row. */
export interface StateRow extends Rules {
  readonly available: number;
  readonly phase: Phase;
  readonly startsInSeconds: number | null;
}

/** An event as the API shows it. Expired holds count as available. */
export interface EventRow extends StateRow {
  readonly id: string;
  readonly name: string;
  readonly totalQuota: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

const ruleColumns = Prisma.sql`
  events.revision, events.max_purchase_limit AS "maxPurchaseLimit", events.sale_starts_at AS "saleStartsAt",
  events.sale_ends_at AS "saleEndsAt", events.max_per_buyer AS "maxPerBuyer", events.hold_seconds AS "holdSeconds",
  CASE WHEN events.sale_ends_at <= statement_timestamp() THEN 'ended'
       WHEN events.sale_starts_at > statement_timestamp() THEN 'scheduled'
       ELSE 'open' END AS phase,
  extract(epoch FROM events.sale_starts_at - statement_timestamp())::float8 AS "startsInSeconds"`;

/** Of `StateRow`, by the event's row alone: a statement that waited for the row may read nothing else. */
export const stateColumns = Prisma.sql`events.available, ${ruleColumns}`;

/** Of `EventRow`. */
export const eventColumns = Prisma.sql`
  events.id, events.name, events.total_quota AS "totalQuota", ${ruleColumns},
  events.created_at AS "createdAt", events.updated_at AS "updatedAt",
  (events.available
   + coalesce((SELECT sum(p.quantity)
                 FROM purchases p
                WHERE p.event_id = events.id AND p.status = 'held' AND p.expires_at <= statement_timestamp()), 0))::int AS available`;

export function toRules({ revision, maxPurchaseLimit, saleStartsAt, saleEndsAt, maxPerBuyer, holdSeconds }: Rules): Rules {
  return { revision, maxPurchaseLimit, saleStartsAt, saleEndsAt, maxPerBuyer, holdSeconds };
}

/**
 * The condition on which a statement sells what was decided on cached rules. It looks at the newest version of the row, because a
 * statement that waited for the row checks its conditions again. The sale window is judged at the statement's start, which is the
 * time that its purchases get.
 */
export function mayTake(tickets: Prisma.Sql, revision: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`events.available >= ${tickets} AND events.revision = ${revision}
             AND (events.sale_starts_at <= statement_timestamp()) IS NOT FALSE
             AND (events.sale_ends_at > statement_timestamp()) IS NOT FALSE`;
}

/** For the SET of an UPDATE. A change of a rule increments the revision. */
export function setRules(change: RuleChange): Prisma.Sql {
  const { maxPurchaseLimit, saleStartsAt, saleEndsAt, maxPerBuyer, holdSeconds } = change;
  const isGiven = (value: unknown) => Prisma.sql`${value !== undefined}::boolean`;
  const changes = Object.values(change).some((value) => value !== undefined) ? 1 : 0;
  return Prisma.sql`
    max_purchase_limit = CASE WHEN ${isGiven(maxPurchaseLimit)} THEN ${maxPurchaseLimit ?? null}::int ELSE max_purchase_limit END,
    sale_starts_at = CASE WHEN ${isGiven(saleStartsAt)} THEN ${saleStartsAt ?? null}::timestamptz ELSE sale_starts_at END,
    sale_ends_at = CASE WHEN ${isGiven(saleEndsAt)} THEN ${saleEndsAt ?? null}::timestamptz ELSE sale_ends_at END,
    max_per_buyer = CASE WHEN ${isGiven(maxPerBuyer)} THEN ${maxPerBuyer ?? null}::int ELSE max_per_buyer END,
    hold_seconds = CASE WHEN ${isGiven(holdSeconds)} THEN ${holdSeconds ?? null}::int ELSE hold_seconds END,
    revision = revision + ${changes}::int`;
}
