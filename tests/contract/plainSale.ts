import type { Pool } from '../../src/db/client.js';
import type { Purchase } from '../../src/sale/types.js';
import type { AnySale } from '../support/sales.js';
import { v7 as uuidv7 } from 'uuid';

/**
 * The reference: one interactive transaction per request, one request at a time, written with model calls alone. Slow,
 * and short enough to be seen to be right. Group commit must answer exactly as it does.
 */
export function plainSale(pool: Pool): AnySale {
  let last: Promise<unknown> = Promise.resolve();
  return {
    sell: (eventId, request) => {
      const mine = last.then(() =>
        pool.prisma.$transaction(async (tx): ReturnType<AnySale['sell']> => {
          const event = await tx.event.findUnique({ where: { id: eventId } });
          if (!event) return { kind: 'event-not-found' };
          if (request.idempotency) {
            const idempotencyKey = request.idempotency.key;
            const earlier = await tx.purchase.findFirst({
              where: { eventId, idempotencyKey },
              include: { tickets: { orderBy: { id: 'asc' } } },
            });
            if (earlier && earlier.requestFingerprint !== request.idempotency.fingerprint) return { kind: 'idempotency-key-reused' };
            if (earlier)
              return { kind: 'granted', purchase: { ...earlier, ticketIds: earlier.tickets.map((ticket) => ticket.id) }, replayed: true };
          }
          if (request.quantity > event.maxPurchaseLimit) {
            return { kind: 'purchase-limit-exceeded', maxPurchaseLimit: event.maxPurchaseLimit };
          }
          if (event.available === 0) return { kind: 'sold-out' };
          if (event.available < request.quantity) return { kind: 'insufficient-availability', available: event.available };
          await tx.event.update({ where: { id: eventId }, data: { available: { decrement: request.quantity } } });
          const purchase: Purchase = {
            id: request.purchaseId,
            eventId,
            quantity: request.quantity,
            createdAt: new Date(),
            ticketIds: Array.from({ length: request.quantity }, () => uuidv7()),
          };
          const { id, quantity, createdAt } = purchase;
          const key = { idempotencyKey: request.idempotency?.key ?? null, requestFingerprint: request.idempotency?.fingerprint ?? null };
          await tx.purchase.create({ data: { id, eventId, quantity, createdAt, ...key } });
          await tx.ticket.createMany({ data: purchase.ticketIds.map((ticketId) => ({ id: ticketId, eventId, purchaseId: id })) });
          return { kind: 'granted', purchase, replayed: false };
        }),
      );
      last = mine.catch(() => undefined);
      return mine;
    },
    close: async () => {
      await last;
    },
  };
}
