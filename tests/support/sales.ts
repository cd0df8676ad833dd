import { randomUUID } from 'node:crypto';
import { expect } from '@jest/globals';
import { v7 as uuidv7 } from 'uuid';
import type { Pool } from '../../src/db/client.js';
import { EventRegistry } from '../../src/sale/eventRegistry.js';
import { sellFast } from '../../src/sale/fastPath.js';
import { createSale, type SaleLimits, type SaleObserver } from '../../src/sale/sale.js';
import type { Outcome, PurchaseRequest, Rules } from '../../src/sale/types.js';
import { auditEvent, isConserved } from '../../src/sql/auditEvent.js';
import { createEvent } from '../../src/sql/createEvent.js';

/** Anything that sells: the sale itself, the plain reference, the one that must oversell. */
export interface AnySale {
  sell(eventId: string, request: PurchaseRequest, isGone?: () => boolean): Promise<Outcome>;
  close(): Promise<void>;
}

const nothing = () => undefined;
export const silent = { outcome: nothing, refused: nothing, began: nothing, ended: nothing, fault: nothing };

/** Of the events that this test file made: what a replica would have found when it looked them up. */
const madeEvents = new Map<string, Rules>();

/** A sale that knows the rules of each event as they were when it was made. */
export function batchedSale(pool: Pool, limits: Partial<SaleLimits> = {}, observer: Partial<SaleObserver> = {}): AnySale {
  const defaults = { inProgressMax: 20_000, inProgressPerKeyMax: 10_000, inProgressPerKeyMin: 2_000, queueWaitMs: 400, deadlineMs: 5_000 };
  const batches = { batchRequestsMax: 500, batchTicketsMax: 5_000, connectionsMax: 6 };
  const events = new EventRegistry();
  const sale = createSale(pool, events, { ...defaults, ...batches, ...limits }, { ...silent, ...observer });
  return {
    sell: (eventId, request, isGone) => {
      const rules = madeEvents.get(eventId);
      if (rules && !events.has(eventId)) events.learn(eventId, rules);
      return sale.sell(eventId, request, isGone);
    },
    close: () => sale.close(),
  };
}

/** One attempt on the fast path, by the rules that an event of `newEvent` has at first. @returns undefined if its statement did nothing */
export async function attemptFast(pool: Pool, eventId: string, requests: readonly PurchaseRequest[]): Promise<Outcome[] | undefined> {
  const rules = madeEvents.get(eventId)!;
  const [outcomes] = await sellFast(pool, [{ eventId, requests, rules, expectsReplays: false }]);
  return outcomes;
}

export const request = (quantity: number, key?: string): PurchaseRequest => ({
  purchaseId: uuidv7(),
  quantity,
  idempotency: key === undefined ? null : { key: key.padEnd(16, '.'), fingerprint: JSON.stringify({ quantity }) },
});

export async function newEvent(pool: Pool, totalQuota: number, maxPurchaseLimit = 10): Promise<string> {
  const event = await createEvent(pool.prisma, { id: uuidv7(), name: `Test ${randomUUID()}`, totalQuota, maxPurchaseLimit });
  madeEvents.set(event.id, { revision: event.revision, maxPurchaseLimit });
  return event.id;
}

/** The conservation query, and that each purchase has as many tickets as it says. */
export async function expectConserved(pool: Pool, eventId: string, sold: number): Promise<void> {
  const audit = await auditEvent(pool.prisma, eventId);
  expect(audit).toMatchObject({ sold, ticketsIssued: sold });
  expect(audit && isConserved(audit)).toBe(true);
  const uneven = await pool.prisma.$queryRaw`
    SELECT p.id FROM purchases p LEFT JOIN tickets t ON t.event_id = p.event_id AND t.purchase_id = p.id
     WHERE p.event_id = ${eventId}::uuid GROUP BY p.id, p.quantity HAVING count(t.id) <> p.quantity`;
  expect(uneven).toEqual([]);
}

/** Tickets that these outcomes gave out, replays not counted. */
export function ticketsOf(outcomes: readonly Outcome[]): number {
  return outcomes.reduce((sum, outcome) => sum + (outcome.kind === 'sold' && !outcome.replayed ? outcome.purchase.quantity : 0), 0);
}
