/**
 * The negative controls of the model: replicas with one thing wrong each, which every history of a single caller at a
 * single replica may overlook, and which random histories must not.
 */
import type { Pool } from '../../src/db/client.js';
import type { Door } from './doors.js';
import type { Answer } from './model.js';

/** @returns the door with its defect; what it remembers, each replica remembers for itself */
type Break = (door: Door, pool: Pool) => Door;

const isRefused = ({ kind }: Answer) => kind === 'sold-out' || kind === 'insufficient-availability' || kind === 'purchase-limit-exceeded';

export const brokenDoors: Readonly<Record<string, Break>> = {
  'keeps its keys in the process': (door) => {
    const bought = new Map<string, { readonly quantity: number; readonly answer: Promise<Answer> }>();
    const nothing: Answer = { kind: 'sold-out' };
    return {
      ...door,
      buy: async (eventId, quantity, key) => {
        if (key === undefined) return door.buy(eventId, quantity, key);
        const name = `${eventId} ${key}`;
        const earlier = bought.get(name);
        const answered = (await earlier?.answer) ?? nothing;
        if (earlier && answered.kind === 'sold') {
          return quantity === earlier.quantity ? { ...answered, replayed: true } : { kind: 'idempotency-key-reused' };
        }
        const answer = door.buy(eventId, quantity, undefined);
        bought.set(name, { quantity, answer });
        return answer;
      },
    };
  },

  'remembers refusals': (door) => {
    const refused = new Map<string, Answer>();
    return {
      ...door,
      buy: async (eventId, quantity, key) => {
        const name = `${eventId} ${String(key)} ${String(quantity)}`;
        const answer = refused.get(name) ?? (await door.buy(eventId, quantity, key));
        if (key !== undefined && isRefused(answer)) refused.set(name, answer);
        return answer;
      },
    };
  },

  'shows again what it has seen until it sells': (door) => {
    const seen = new Map<string, Answer>();
    return {
      ...door,
      read: async (eventId) => {
        const answer = seen.get(eventId) ?? (await door.read(eventId));
        seen.set(eventId, answer);
        return answer;
      },
      buy: (eventId, quantity, key) => {
        seen.delete(eventId);
        return door.buy(eventId, quantity, key);
      },
    };
  },

  'learns of a new limit only by setting it': (door) => {
    const limits = new Map<string, number>();
    return {
      ...door,
      limit: (eventId, limit) => {
        limits.set(eventId, limit);
        return door.limit(eventId, limit);
      },
      buy: async (eventId, quantity, key) => {
        const limit = limits.get(eventId) ?? Infinity;
        const answer = await door.buy(eventId, quantity, key);
        const isOver = quantity > limit && answer.kind === 'sold' && !answer.replayed;
        return isOver ? { kind: 'purchase-limit-exceeded', maxPurchaseLimit: limit } : answer;
      },
    };
  },

  'calls sold out what is not enough': (door) => ({
    ...door,
    buy: async (eventId, quantity, key) => {
      const answer = await door.buy(eventId, quantity, key);
      return answer.kind === 'insufficient-availability' ? { kind: 'sold-out' } : answer;
    },
  }),

  'does not say that it repeats itself': (door) => ({
    ...door,
    buy: async (eventId, quantity, key) => {
      const answer = await door.buy(eventId, quantity, key);
      return answer.kind === 'sold' ? { ...answer, replayed: false } : answer;
    },
  }),

  'serves the last first': (door) => {
    let waiting: (() => void)[] = [];
    const turn = () =>
      new Promise<void>((resolve) => {
        if (waiting.length === 0) {
          setImmediate(() => {
            const all = waiting.reverse();
            waiting = [];
            for (const begin of all) begin();
          });
        }
        waiting.push(resolve);
      });
    return { ...door, buy: (eventId, quantity, key) => turn().then(() => door.buy(eventId, quantity, key)) };
  },

  'loses a purchase of three after its answer': (door, pool) => ({
    ...door,
    buy: async (eventId, quantity, key) => {
      const answer = await door.buy(eventId, quantity, key);
      if (answer.kind === 'sold' && quantity === 3) {
        await pool.prisma.purchase.deleteMany({ where: { eventId, id: answer.purchase.id } });
      }
      return answer;
    },
  }),

  'issues a ticket too few for a purchase of three': (door, pool) => ({
    ...door,
    buy: async (eventId, quantity, key) => {
      const answer = await door.buy(eventId, quantity, key);
      if (answer.kind === 'sold' && quantity === 3) {
        await pool.prisma.ticket.deleteMany({ where: { eventId, purchaseId: answer.purchase.id, id: answer.purchase.ticketIds[2]! } });
      }
      return answer;
    },
  }),

  'shows a purchase under any event': (door, pool) => ({
    ...door,
    lookUp: async (eventId, purchaseId) => {
      const found = await pool.prisma.purchase.findFirst({ where: { id: purchaseId } });
      return door.lookUp(found?.eventId ?? eventId, purchaseId);
    },
  }),
};
