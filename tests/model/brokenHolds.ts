/** More negative controls: what can be wrong with holds, confirmations, what is given back, buyers' limits and sale windows. */
import type { Purchase } from '../../src/sale/types.js';
import type { Break } from './brokenClients.js';
import type { Answer } from './model.js';

const distantFuture = new Date('2900-01-01');

/** Runs one more statement on the event and the purchase after an action that gave something back, or had given it back before. */
const afterGivingBack =
  (
    action: 'release' | 'cancel',
    when: 'first' | 'again',
    spoil: (pool: Parameters<Break>[1], purchase: Purchase) => Promise<unknown>,
  ): Break =>
  (client, pool) => ({
    ...client,
    [action]: async (eventId: string, purchaseId: string) => {
      const { status } = (await pool.prisma.purchase.findFirst({ where: { eventId, id: purchaseId } })) ?? {};
      const answer = await client[action](eventId, purchaseId);
      const hadIt = status === 'held' || status === 'confirmed';
      const isDone = answer.kind === 'settled' && answer.purchase.status === (action === 'cancel' ? 'cancelled' : 'released');
      if (isDone && hadIt === (when === 'first')) await spoil(pool, answer.purchase);
      return answer;
    },
  });

/** Adds to what is available, but keeps every CHECK. */
const add = ({ prisma }: Parameters<Break>[1], { eventId }: Purchase, tickets: number) =>
  prisma.$executeRaw`
    UPDATE events SET available = greatest(0, least(total_quota, available + ${tickets}::int)) WHERE id = ${eventId}::uuid`;

/** Buys while a rule of the event is as it should not be. */
const buyingWith =
  (isTried: (answer: Answer) => boolean, wrong: object): Break =>
  (client, { prisma }) => ({
    ...client,
    buy: async (eventId, quantity, key, buyer) => {
      const answer = await client.buy(eventId, quantity, key, buyer);
      if (!isTried(answer)) return answer;
      const { saleStartsAt, saleEndsAt, maxPerBuyer } = await prisma.event.findUniqueOrThrow({ where: { id: eventId } });
      await prisma.event.update({ where: { id: eventId }, data: wrong });
      const second = await client.buy(eventId, quantity, key, buyer);
      await prisma.event.update({ where: { id: eventId }, data: { saleStartsAt, saleEndsAt, maxPerBuyer } });
      return second;
    },
  });

export const brokenHolds: Readonly<Record<string, Break>> = {
  'confirms an expired hold that was not swept': (client, { prisma }) => ({
    ...client,
    confirm: async (eventId, purchaseId) => {
      await prisma.purchase.updateMany({ where: { eventId, id: purchaseId, status: 'held' }, data: { expiresAt: distantFuture } });
      return client.confirm(eventId, purchaseId);
    },
  }),

  'issues other tickets when a confirmation is repeated': (client) => {
    const seen = new Set<string>();
    return {
      ...client,
      confirm: async (eventId, purchaseId) => {
        const answer = await client.confirm(eventId, purchaseId);
        const isFirst = seen.size < seen.add(purchaseId).size;
        if (answer.kind !== 'settled' || isFirst) return answer;
        return { ...answer, purchase: { ...answer.purchase, ticketIds: answer.purchase.ticketIds.map((id) => `another ${id}`) } };
      },
    };
  },

  'issues no ticket for the first confirmation of three': (client, { prisma }) => ({
    ...client,
    confirm: async (eventId, purchaseId) => {
      const answer = await client.confirm(eventId, purchaseId);
      const last = answer.kind === 'settled' ? answer.purchase.ticketIds[2] : undefined;
      if (last !== undefined) await prisma.ticket.deleteMany({ where: { eventId, id: last } });
      return answer;
    },
  }),

  'gives back twice when a cancellation is repeated': afterGivingBack('cancel', 'again', (pool, purchase) =>
    add(pool, purchase, purchase.quantity),
  ),

  'gives back twice when a release is repeated': afterGivingBack('release', 'again', (pool, purchase) =>
    add(pool, purchase, purchase.quantity),
  ),

  'forgets to give back what is released': afterGivingBack('release', 'first', (pool, purchase) => add(pool, purchase, -purchase.quantity)),

  'counts a cancelled purchase against its buyer': afterGivingBack(
    'cancel',
    'first',
    ({ prisma }, { eventId, buyerId, quantity }) =>
      prisma.$executeRaw`
      UPDATE buyer_totals SET quantity = quantity + ${quantity}::int, quantity_max = NULL
       WHERE event_id = ${eventId}::uuid AND buyer_id = ${buyerId}`,
  ),

  'frees the key of a released hold': afterGivingBack('release', 'first', ({ prisma }, { eventId, id }) =>
    prisma.purchase.updateMany({ where: { eventId, id }, data: { idempotencyKey: null, requestFingerprint: null } }),
  ),

  'counts an expired hold against its buyer': (client, { prisma }) => ({
    ...client,
    buy: async (eventId, quantity, key, buyer) => {
      const answer = await client.buy(eventId, quantity, key, buyer);
      if (answer.kind !== 'granted' || answer.replayed || buyer === undefined) return answer;
      const { maxPerBuyer } = await prisma.event.findUniqueOrThrow({ where: { id: eventId } });
      const { _sum: sum } = await prisma.purchase.aggregate({
        where: { eventId, buyerId: buyer, status: { in: ['held', 'confirmed', 'expired'] } },
        _sum: { quantity: true },
      });
      const had = (sum.quantity ?? 0) - quantity;
      if (maxPerBuyer === null || had + quantity <= maxPerBuyer) return answer;
      await client.cancel(eventId, answer.purchase.id);
      return { kind: 'buyer-limit-exceeded', remaining: Math.max(0, maxPerBuyer - had) };
    },
  }),

  'counts only one purchase of a buyer at a time': buyingWith(({ kind }) => kind === 'buyer-limit-exceeded', { maxPerBuyer: null }),

  'sells before the start': buyingWith(({ kind }) => kind === 'sale-not-started', { saleStartsAt: null }),

  'sells after the end': buyingWith(({ kind }) => kind === 'sale-ended', { saleEndsAt: null }),

  'shows held tickets as available': (client) => ({
    ...client,
    read: async (eventId) => {
      const [answer, books] = [await client.read(eventId), await client.books(eventId)];
      return answer.kind === 'event' && books.kind === 'books' ? { ...answer, available: answer.available + books.held } : answer;
    },
  }),

  'makes expired holds available only when they are swept': (client, { prisma }) => ({
    ...client,
    read: async (eventId) => {
      const answer = await client.read(eventId);
      if (answer.kind !== 'event') return answer;
      const { available } = await prisma.event.findUniqueOrThrow({ where: { id: eventId } });
      return { ...answer, available };
    },
  }),

  'shows an expired hold as held until it is swept': (client, { prisma }) => ({
    ...client,
    lookUp: async (eventId, purchaseId) => {
      const [row, answer] = [
        await prisma.purchase.findFirst({ where: { eventId, id: purchaseId } }),
        await client.lookUp(eventId, purchaseId),
      ];
      return answer.kind === 'purchase' && row?.status === 'held'
        ? { ...answer, purchase: { ...answer.purchase, status: 'held' } }
        : answer;
    },
  }),

  'still shows a cancelled purchase as confirmed': (client) => ({
    ...client,
    lookUp: async (eventId, purchaseId) => {
      const answer = await client.lookUp(eventId, purchaseId);
      const isVoid = answer.kind === 'purchase' && answer.purchase.status === 'cancelled' && answer.purchase.ticketIds.length > 0;
      return isVoid ? { ...answer, purchase: { ...answer.purchase, status: 'confirmed' } } : answer;
    },
  }),

  'says that an expired hold was released': (client) => ({
    ...client,
    release: async (eventId, purchaseId) => {
      const answer = await client.release(eventId, purchaseId);
      if (answer.kind !== 'settled' || answer.purchase.status !== 'expired') return answer;
      return { ...answer, purchase: { ...answer.purchase, status: 'released', expiresAt: null } };
    },
  }),

  'sweeps holds that are not due': (client, { prisma }) => ({
    ...client,
    sweep: async () => {
      await prisma.$executeRaw`UPDATE purchases SET expires_at = created_at WHERE status = 'held'`;
      return client.sweep();
    },
  }),
};
