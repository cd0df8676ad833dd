import { randomUUID } from 'node:crypto';
import { expect } from '@jest/globals';
import { v7 as uuidv7 } from 'uuid';
import type { Pool } from '../../src/db/client.js';
import { EventRegistry } from '../../src/sale/eventRegistry.js';
import { sellFast } from '../../src/sale/fastPath.js';
import { createSale, type SaleLimits, type SaleObserver } from '../../src/sale/sale.js';
import type { ConfirmRequest, EventRequest, Outcome, PurchaseRequest, Rules, RuleValues } from '../../src/sale/types.js';
import { auditEvent, isConserved } from '../../src/sql/auditEvent.js';
import { createEvent } from '../../src/sql/createEvent.js';

/** Anything that sells: the sale itself, the plain reference, the one that must oversell. */
export interface AnySale {
  sell(eventId: string, request: EventRequest, isGone?: () => boolean): Promise<Outcome>;
  confirm(request: ConfirmRequest): Promise<Outcome>;
  close(): Promise<void>;
}

const nothing = () => undefined;
export const silent = { outcome: nothing, refused: nothing, began: nothing, ended: nothing, fault: nothing };

/** Of the events that this test file made: what a replica would have found when it looked them up. */
const madeEvents = new Map<string, Rules>();

/** Of an event of `newEvent`, the rules that it had at first. */
export const rulesWhenMade = (eventId: string) => madeEvents.get(eventId);

/** A sale that knows the rules of each event as they were when it was made. */
export function batchedSale(pool: Pool, limits: Partial<SaleLimits> = {}, observer: Partial<SaleObserver> = {}): AnySale {
  const defaults = { inProgressMax: 20_000, inProgressPerKeyMax: 10_000, inProgressPerKeyMin: 2_000, queueWaitMs: 400, deadlineMs: 5_000 };
  const batches = { batchRequestsMax: 500, batchTicketsMax: 5_000, connectionsMax: 8 };
  const events = new EventRegistry();
  const sale = createSale(pool, events, { ...defaults, ...batches, ...limits }, { ...silent, ...observer });
  return {
    sell: (eventId, request, isGone) => {
      const rules = madeEvents.get(eventId);
      if (rules && !events.has(eventId)) events.learn(eventId, rules);
      return sale.sell(eventId, request, isGone);
    },
    confirm: (request) => sale.confirm(request),
    close: () => sale.close(),
  };
}

/** One attempt on the fast path, by the rules that an event of `newEvent` has at first. @returns undefined if its statement did nothing */
export async function attemptFast(pool: Pool, eventId: string, requests: readonly PurchaseRequest[]): Promise<Outcome[] | undefined> {
  const rules = madeEvents.get(eventId)!;
  const [outcomes] = await sellFast(pool, [{ eventId, requests, rules, expectsReplays: false }]);
  return outcomes;
}

/** A request to buy. @param named the buyer, the reference, or both */
export const request = (
  quantity: number,
  key?: string,
  named: Partial<Pick<PurchaseRequest, 'buyerId' | 'reference'>> = {},
): PurchaseRequest => ({
  kind: 'buy',
  purchaseId: uuidv7(),
  quantity,
  buyerId: null,
  reference: null,
  ...named,
  idempotency: key === undefined ? null : { key: key.padEnd(16, '.'), fingerprint: JSON.stringify({ quantity, ...named }) },
  asBuyer: undefined,
});

/** The rules of an event that has none but a limit. */
export const noRules: Omit<RuleValues, 'maxPurchaseLimit'> = { saleStartsAt: null, saleEndsAt: null, maxPerBuyer: null, holdSeconds: null };

/** @param rules beside the limit of a purchase */
export async function newEvent(pool: Pool, totalQuota: number, maxPurchaseLimit = 10, rules: Partial<RuleValues> = {}): Promise<string> {
  const values = { ...noRules, maxPurchaseLimit, ...rules };
  const event = await createEvent(pool.prisma, { id: uuidv7(), name: `Test ${randomUUID()}`, totalQuota, ...values });
  madeEvents.set(event.id, { revision: event.revision, ...values });
  return event.id;
}

/**
 * The conservation query, that each confirmed purchase has as many tickets as it says, a cancelled one these or none, and every other one
 * none, and that each buyer's total is what the buyer's purchases say.
 */
export async function expectConserved(pool: Pool, eventId: string, sold: number, held = 0): Promise<void> {
  const audit = await auditEvent(pool.prisma, eventId);
  expect(audit).toMatchObject({ sold, held, ticketsIssued: sold });
  expect(audit && isConserved(audit)).toBe(true);
  const uneven = await pool.prisma.$queryRaw`
    SELECT p.id FROM purchases p LEFT JOIN tickets t ON t.event_id = p.event_id AND t.purchase_id = p.id
     WHERE p.event_id = ${eventId}::uuid GROUP BY p.id, p.quantity, p.status
    HAVING count(t.id) <> CASE WHEN p.status = 'confirmed' OR p.status = 'cancelled' AND count(t.id) > 0 THEN p.quantity ELSE 0 END`;
  expect(uneven).toEqual([]);
  const miscounted = await pool.prisma.$queryRaw`
    SELECT buyer_id, t.quantity, p.quantity AS counted
      FROM (SELECT buyer_id, quantity FROM buyer_totals WHERE event_id = ${eventId}::uuid AND quantity > 0) t
      FULL JOIN (SELECT buyer_id, sum(quantity)::int AS quantity
                   FROM purchases
                  WHERE event_id = ${eventId}::uuid AND buyer_id IS NOT NULL AND status IN ('held', 'confirmed')
                  GROUP BY buyer_id) p USING (buyer_id)
     WHERE t.quantity IS DISTINCT FROM p.quantity`;
  expect(miscounted).toEqual([]);
}

/** Tickets that these outcomes gave out, replays not counted. */
export function ticketsOf(outcomes: readonly Outcome[]): number {
  return outcomes.reduce((sum, outcome) => sum + (outcome.kind === 'granted' && !outcome.replayed ? outcome.purchase.quantity : 0), 0);
}
