/** What every statement on events shares: which columns an event and its rules are, and what a statement that sells checks. */
import { Prisma } from '../generated/prisma/client.js';
import type { EventState, RuleChange, Rules } from '../sale/types.js';

/** An event as the API shows it. */
export interface EventRow extends Rules {
  readonly id: string;
  readonly name: string;
  readonly totalQuota: number;
  readonly available: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** Of `StateRow`. */
export const stateColumns = Prisma.sql`events.available, events.revision, events.max_purchase_limit AS "maxPurchaseLimit"`;

/** Of `EventRow`. */
export const eventColumns = Prisma.sql`
  events.id, events.name, events.total_quota AS "totalQuota", ${stateColumns},
  events.created_at AS "createdAt", events.updated_at AS "updatedAt"`;

export interface StateRow extends Rules {
  readonly available: number;
}

export function toState(row: StateRow): EventState {
  return { available: row.available, rules: toRules(row) };
}

export function toRules({ revision, maxPurchaseLimit }: Rules): Rules {
  return { revision, maxPurchaseLimit };
}

/**
 * The condition on which a statement sells what was decided on cached rules. It looks at the newest version of the row, because a
 * statement that waited for the row checks its conditions again.
 */
export function mayTake(tickets: Prisma.Sql, revision: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`events.available >= ${tickets} AND events.revision = ${revision}`;
}

/** For the SET of an UPDATE. A change of a rule increments the revision. */
export function setRules({ maxPurchaseLimit }: RuleChange): Prisma.Sql {
  const changes = maxPurchaseLimit === undefined ? 0 : 1;
  return Prisma.sql`
    max_purchase_limit = coalesce(${maxPurchaseLimit ?? null}::int, max_purchase_limit), revision = revision + ${changes}::int`;
}
