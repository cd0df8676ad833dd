import { v7 as uuidv7 } from 'uuid';
import type { Pool } from '../../src/db/client.js';
import type { AnySale } from '../support/sales.js';

/**
 * What not to do: read what is left, then write what will be left, without a lock or a condition in between. It keeps
 * every CHECK and still sells the same ticket twice.
 */
export function unlockedSale(pool: Pool): AnySale {
  return {
    sell: (eventId, request) =>
      pool.prisma.$transaction(async (tx) => {
        if (request.kind !== 'buy') throw new Error('it only sells');
        const { purchaseId, quantity, buyerId, reference } = request;
        const event = await tx.event.findUniqueOrThrow({ where: { id: eventId } });
        if (event.available < quantity) return { kind: 'insufficient-availability', available: event.available, held: 0 };
        await tx.event.update({ where: { id: eventId }, data: { available: event.available - quantity } });
        const createdAt = new Date();
        const ticketIds = Array.from({ length: quantity }, () => uuidv7());
        await tx.purchase.create({ data: { id: purchaseId, eventId, quantity, createdAt } });
        await tx.ticket.createMany({ data: ticketIds.map((id) => ({ id, eventId, purchaseId })) });
        const written = { id: purchaseId, eventId, quantity, status: 'confirmed', buyerId, reference, createdAt, expiresAt: null } as const;
        return { kind: 'granted', purchase: { ...written, ticketIds }, replayed: false };
      }, pool.transaction),
    confirm: () => Promise.reject(new Error('it only sells')),
    close: () => Promise.resolve(),
  };
}
