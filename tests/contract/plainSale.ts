/**
 * The reference: one interactive transaction per request, one request at a time, written with model calls alone. Slow,
 * and short enough to be seen to be right. Group commit must answer exactly as it does.
 *
 * It expires every due hold before it looks at anything else, and counts each buyer's tickets from the purchases.
 */
import { v7 as uuidv7 } from 'uuid';
import type { Pool } from '../../src/db/client.js';
import type { Prisma } from '../../src/generated/prisma/client.js';
import type { AsBuyer, ConfirmRequest, GiveBackRequest, Outcome, Purchase, PurchaseRequest } from '../../src/sale/types.js';
import type { AnySale } from '../support/sales.js';

type Tx = Prisma.TransactionClient;
type Event = Prisma.EventGetPayload<object>;
type Found = Prisma.PurchaseGetPayload<{ include: { tickets: true } }>;

const withTickets = { tickets: { orderBy: { id: 'asc' } } } as const;
const taking = ['held', 'confirmed'] as const;

export function plainSale(pool: Pool): AnySale {
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = (work: (tx: Tx) => Promise<Outcome>): Promise<Outcome> => {
    const mine = last.then(() => pool.prisma.$transaction(work));
    last = mine.catch(() => undefined);
    return mine;
  };
  return {
    sell: (eventId, request) =>
      inTurn(async (tx) => {
        const event = await current(tx, eventId);
        if (!event) return { kind: 'event-not-found' };
        return request.kind === 'buy' ? buy(tx, event, request) : giveBack(tx, event, request);
      }),
    confirm: (request) => inTurn((tx) => confirm(tx, request)),
    close: async () => {
      await last;
    },
  };
}

/** The event after its due holds have expired. */
async function current(tx: Tx, eventId: string): Promise<Event | null> {
  const due = await tx.purchase.findMany({ where: { eventId, status: 'held', expiresAt: { lte: new Date() } }, include: withTickets });
  for (const hold of due) await end(tx, hold, 'expired');
  return tx.event.findUnique({ where: { id: eventId } });
}

async function buy(
  tx: Tx,
  event: Event,
  { purchaseId, quantity, buyerId, reference, idempotency, asBuyer }: PurchaseRequest,
): Promise<Outcome> {
  if (idempotency) {
    const earlier = await tx.purchase.findFirst({ where: { eventId: event.id, idempotencyKey: idempotency.key }, include: withTickets });
    if (earlier && isOfAnother(earlier, asBuyer)) return { kind: 'purchase-not-found' };
    if (earlier && earlier.requestFingerprint !== idempotency.fingerprint) return { kind: 'idempotency-key-reused' };
    if (earlier) return { kind: 'granted', purchase: toPurchase(earlier), replayed: true };
  }
  const { maxPurchaseLimit, maxPerBuyer, saleStartsAt, saleEndsAt, holdSeconds, available } = event;
  const now = new Date();
  if (quantity > maxPurchaseLimit) return { kind: 'purchase-limit-exceeded', maxPurchaseLimit };
  if (maxPerBuyer !== null && buyerId === null) return { kind: 'buyer-required' };
  if (saleEndsAt && saleEndsAt <= now) return { kind: 'sale-ended' };
  if (saleStartsAt && saleStartsAt > now) {
    return { kind: 'sale-not-started', saleStartsAt, startsInSeconds: (saleStartsAt.getTime() - now.getTime()) / 1000 };
  }
  if (available === 0) return { kind: 'sold-out', held: await sum(tx, { eventId: event.id, status: 'held' }) };
  if (quantity > available) {
    return { kind: 'insufficient-availability', available, held: await sum(tx, { eventId: event.id, status: 'held' }) };
  }
  const total = buyerId === null ? 0 : await sum(tx, { eventId: event.id, buyerId, status: { in: [...taking] } });
  if (maxPerBuyer !== null && total + quantity > maxPerBuyer) {
    return { kind: 'buyer-limit-exceeded', remaining: Math.max(0, maxPerBuyer - total) };
  }
  await tx.event.update({ where: { id: event.id }, data: { available: { decrement: quantity } } });
  const bought = await tx.purchase.create({
    data: {
      id: purchaseId,
      eventId: event.id,
      quantity,
      buyerId,
      reference,
      createdAt: now,
      status: holdSeconds === null ? 'confirmed' : 'held',
      expiresAt: holdSeconds === null ? null : new Date(now.getTime() + holdSeconds * 1000),
      idempotencyKey: idempotency?.key ?? null,
      requestFingerprint: idempotency?.fingerprint ?? null,
    },
  });
  if (holdSeconds === null) await issueTickets(tx, bought);
  await count(tx, bought, maxPerBuyer);
  return { kind: 'granted', purchase: toPurchase(await find(tx, event.id, purchaseId)), replayed: false };
}

async function giveBack(tx: Tx, event: Event, { kind, purchaseId, asBuyer }: GiveBackRequest): Promise<Outcome> {
  const found = await tx.purchase.findFirst({ where: { eventId: event.id, id: purchaseId }, include: withTickets });
  if (!found || isOfAnother(found, asBuyer)) return { kind: 'purchase-not-found' };
  const { status } = found;
  const isDone = kind === 'cancel' ? status === 'cancelled' : status === 'released' || status === 'expired';
  if (isDone) return { kind: 'settled', purchase: toPurchase(found) };
  if (status === 'confirmed' && kind === 'release') return { kind: 'purchase-confirmed' };
  if (status === 'cancelled') return { kind: 'purchase-cancelled' };
  if (status === 'released') return { kind: 'hold-released' };
  if (status === 'expired') return { kind: 'hold-expired' };
  await end(tx, found, kind === 'cancel' ? 'cancelled' : 'released');
  return { kind: 'settled', purchase: toPurchase(await find(tx, event.id, purchaseId)) };
}

async function confirm(tx: Tx, { eventId, purchaseId }: ConfirmRequest): Promise<Outcome> {
  await current(tx, eventId);
  const found = await tx.purchase.findFirst({ where: { eventId, id: purchaseId } });
  if (!found) return { kind: 'purchase-not-found' };
  if (found.status === 'expired') return { kind: 'hold-expired' };
  if (found.status === 'released') return { kind: 'hold-released' };
  if (found.status === 'cancelled') return { kind: 'purchase-cancelled' };
  if (found.status === 'held') {
    await tx.purchase.updateMany({ where: { eventId, id: purchaseId }, data: { status: 'confirmed' } });
    await issueTickets(tx, found);
  }
  return { kind: 'settled', purchase: toPurchase(await find(tx, eventId, purchaseId)) };
}

/** Ends a purchase that took tickets, and gives them back. */
async function end(tx: Tx, { eventId, id, quantity, buyerId }: Found, status: 'released' | 'expired' | 'cancelled'): Promise<void> {
  await tx.purchase.updateMany({ where: { eventId, id }, data: { status } });
  await tx.event.update({ where: { id: eventId }, data: { available: { increment: quantity } } });
  await count(tx, { eventId, buyerId });
}

async function issueTickets(tx: Tx, { eventId, id: purchaseId, quantity }: Pick<Found, 'eventId' | 'id' | 'quantity'>): Promise<void> {
  await tx.ticket.createMany({ data: Array.from({ length: quantity }, () => ({ id: uuidv7(), eventId, purchaseId })) });
}

/** Writes what the buyer's purchases amount to, for the conservation query. */
async function count(tx: Tx, { eventId, buyerId }: Pick<Found, 'eventId' | 'buyerId'>, quantityMax?: number | null): Promise<void> {
  if (buyerId === null) return;
  const data = {
    quantity: await sum(tx, { eventId, buyerId, status: { in: [...taking] } }),
    ...(quantityMax === undefined ? {} : { quantityMax }),
  };
  await tx.buyerTotal.upsert({ where: { eventId_buyerId: { eventId, buyerId } }, create: { eventId, buyerId, ...data }, update: data });
}

async function sum(tx: Tx, where: Prisma.PurchaseWhereInput): Promise<number> {
  return (await tx.purchase.aggregate({ where, _sum: { quantity: true } }))._sum.quantity ?? 0;
}

function find(tx: Tx, eventId: string, id: string): Promise<Found> {
  return tx.purchase.findUniqueOrThrow({ where: { eventId_id: { eventId, id } }, include: withTickets });
}

function isOfAnother({ buyerId }: Found, asBuyer: AsBuyer): boolean {
  return asBuyer !== undefined && buyerId !== asBuyer;
}

function toPurchase({ id, eventId, quantity, status, buyerId, reference, createdAt, expiresAt, tickets }: Found): Purchase {
  return { id, eventId, quantity, status, buyerId, reference, createdAt, expiresAt, ticketIds: tickets.map((ticket) => ticket.id) };
}
