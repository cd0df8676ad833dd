/**
 * The negative controls of the model: replicas with one thing wrong each, which every history of a single caller at a
 * single replica may overlook, and which random histories must not.
 */
import type { Pool } from '../../src/db/client.js';
import type { ModelClient } from './clients.js';
import type { Answer } from './model.js';

/** @returns the client with its defect; what it remembers, each replica remembers for itself */
type Break = (client: ModelClient, pool: Pool) => ModelClient;

const isRefused = ({ kind }: Answer) => kind === 'sold-out' || kind === 'insufficient-availability' || kind === 'purchase-limit-exceeded';

export const brokenClients: Readonly<Record<string, Break>> = {
  'keeps its keys in the process': (client) => {
    const bought = new Map<string, { readonly quantity: number; readonly answer: Promise<Answer> }>();
    const nothing: Answer = { kind: 'sold-out', held: 0 };
    return {
      ...client,
      buy: async (eventId, quantity, key) => {
        if (key === undefined) return client.buy(eventId, quantity, key);
        const name = `${eventId} ${key}`;
        const earlier = bought.get(name);
        const answered = (await earlier?.answer) ?? nothing;
        if (earlier && answered.kind === 'granted') {
          return quantity === earlier.quantity ? { ...answered, replayed: true } : { kind: 'idempotency-key-reused' };
        }
        const answer = client.buy(eventId, quantity, undefined);
        bought.set(name, { quantity, answer });
        return answer;
      },
    };
  },

  'remembers refusals': (client) => {
    const refused = new Map<string, Answer>();
    return {
      ...client,
      buy: async (eventId, quantity, key) => {
        const name = `${eventId} ${String(key)} ${String(quantity)}`;
        const answer = refused.get(name) ?? (await client.buy(eventId, quantity, key));
        if (key !== undefined && isRefused(answer)) refused.set(name, answer);
        return answer;
      },
    };
  },

  'shows again what it has seen until it sells': (client) => {
    const seen = new Map<string, Answer>();
    return {
      ...client,
      read: async (eventId) => {
        const answer = seen.get(eventId) ?? (await client.read(eventId));
        seen.set(eventId, answer);
        return answer;
      },
      buy: (eventId, quantity, key) => {
        seen.delete(eventId);
        return client.buy(eventId, quantity, key);
      },
    };
  },

  'learns of a new limit only by setting it': (client) => {
    const limits = new Map<string, number>();
    return {
      ...client,
      limit: (eventId, limit) => {
        limits.set(eventId, limit);
        return client.limit(eventId, limit);
      },
      buy: async (eventId, quantity, key) => {
        const limit = limits.get(eventId) ?? Infinity;
        const answer = await client.buy(eventId, quantity, key);
        const isOver = quantity > limit && answer.kind === 'granted' && !answer.replayed;
        return isOver ? { kind: 'purchase-limit-exceeded', maxPurchaseLimit: limit } : answer;
      },
    };
  },

  'calls sold out what is not enough': (client) => ({
    ...client,
    buy: async (eventId, quantity, key) => {
      const answer = await client.buy(eventId, quantity, key);
      return answer.kind === 'insufficient-availability' ? { kind: 'sold-out', held: 0 } : answer;
    },
  }),

  'does not say that it repeats itself': (client) => ({
    ...client,
    buy: async (eventId, quantity, key) => {
      const answer = await client.buy(eventId, quantity, key);
      return answer.kind === 'granted' ? { ...answer, replayed: false } : answer;
    },
  }),

  'serves the last first': (client) => {
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
    return { ...client, buy: (eventId, quantity, key) => turn().then(() => client.buy(eventId, quantity, key)) };
  },

  'loses a purchase of three after its answer': (client, pool) => ({
    ...client,
    buy: async (eventId, quantity, key) => {
      const answer = await client.buy(eventId, quantity, key);
      if (answer.kind === 'granted' && quantity === 3) {
        await pool.prisma.purchase.deleteMany({ where: { eventId, id: answer.purchase.id } });
      }
      return answer;
    },
  }),

  'issues a ticket too few for a purchase of three': (client, pool) => ({
    ...client,
    buy: async (eventId, quantity, key) => {
      const answer = await client.buy(eventId, quantity, key);
      if (answer.kind === 'granted' && quantity === 3) {
        await pool.prisma.ticket.deleteMany({ where: { eventId, purchaseId: answer.purchase.id, id: answer.purchase.ticketIds[2]! } });
      }
      return answer;
    },
  }),

  'shows a purchase under any event': (client, pool) => ({
    ...client,
    lookUp: async (eventId, purchaseId) => {
      const found = await pool.prisma.purchase.findFirst({ where: { id: purchaseId } });
      return client.lookUp(found?.eventId ?? eventId, purchaseId);
    },
  }),
};
