/**
 * The negative controls of the model: replicas with one thing wrong each, which every history of a single caller at a
 * single replica may overlook, and which random histories must not. Holds and what becomes of them: brokenHolds.ts.
 */
import type { Pool } from '../../src/db/client.js';
import { brokenHolds } from './brokenHolds.js';
import type { ModelClient } from './clients.js';
import type { Answer, ModelRules } from './model.js';

/** @returns the client with its defect; what it remembers, each replica remembers for itself */
export type Break = (client: ModelClient, pool: Pool) => ModelClient;

const isRefused = ({ kind }: Answer) => kind === 'sold-out' || kind === 'insufficient-availability' || kind === 'purchase-limit-exceeded';

/** Changes the answers of purchases. */
const answering =
  (change: (answer: Answer, quantity: number, eventId: string, pool: Pool) => Answer | Promise<Answer>): Break =>
  (client, pool) => ({
    ...client,
    buy: async (eventId, quantity, key, buyer) => change(await client.buy(eventId, quantity, key, buyer), quantity, eventId, pool),
  });

export const brokenClients: Readonly<Record<string, Break>> = {
  ...brokenHolds,

  'keeps its keys in the process': (client) => {
    const bought = new Map<string, { readonly body: string; readonly answer: Promise<Answer> }>();
    return {
      ...client,
      buy: async (eventId, quantity, key, buyer) => {
        if (key === undefined) return client.buy(eventId, quantity, key, buyer);
        const [name, body] = [`${eventId} ${key}`, `${String(quantity)} ${String(buyer)}`];
        const earlier = bought.get(name);
        const answered = await earlier?.answer;
        if (earlier && answered?.kind === 'granted') {
          return body === earlier.body ? { ...answered, replayed: true } : { kind: 'idempotency-key-reused' };
        }
        const answer = client.buy(eventId, quantity, undefined, buyer);
        bought.set(name, { body, answer });
        return answer;
      },
    };
  },

  'remembers refusals': (client) => {
    const refused = new Map<string, Answer>();
    return {
      ...client,
      buy: async (eventId, quantity, key, buyer) => {
        const name = `${eventId} ${String(key)} ${String(quantity)} ${String(buyer)}`;
        const answer = refused.get(name) ?? (await client.buy(eventId, quantity, key, buyer));
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
      buy: (eventId, quantity, key, buyer) => {
        seen.delete(eventId);
        return client.buy(eventId, quantity, key, buyer);
      },
    };
  },

  'learns of a new limit only by setting it': (client) => {
    const limits = new Map<string, number>();
    return {
      ...client,
      change: (eventId: string, change: Partial<ModelRules>) => {
        if (change.limit !== undefined) limits.set(eventId, change.limit);
        return client.change(eventId, change);
      },
      buy: async (eventId, quantity, key, buyer) => {
        const limit = limits.get(eventId) ?? Infinity;
        const answer = await client.buy(eventId, quantity, key, buyer);
        const isOver = quantity > limit && answer.kind === 'granted' && !answer.replayed;
        return isOver ? { kind: 'purchase-limit-exceeded', maxPurchaseLimit: limit } : answer;
      },
    };
  },

  'calls sold out what is not enough': answering((answer) =>
    answer.kind === 'insufficient-availability' ? { kind: 'sold-out', held: answer.held } : answer,
  ),

  'does not say that it repeats itself': answering((answer) => (answer.kind === 'granted' ? { ...answer, replayed: false } : answer)),

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
    return { ...client, buy: (eventId, quantity, key, buyer) => turn().then(() => client.buy(eventId, quantity, key, buyer)) };
  },

  'loses a purchase of three after its answer': answering(async (answer, quantity, eventId, { prisma }) => {
    if (answer.kind === 'granted' && quantity === 3) await prisma.purchase.deleteMany({ where: { eventId, id: answer.purchase.id } });
    return answer;
  }),

  'issues a ticket too few for a purchase of three': answering(async (answer, quantity, eventId, { prisma }) => {
    const id = answer.kind === 'granted' && quantity === 3 ? answer.purchase.ticketIds[2] : undefined;
    if (id !== undefined) await prisma.ticket.deleteMany({ where: { eventId, id } });
    return answer;
  }),

  'shows a purchase under any event': (client, pool) => ({
    ...client,
    lookUp: async (eventId, purchaseId) => {
      const found = await pool.prisma.purchase.findFirst({ where: { id: purchaseId } });
      return client.lookUp(found?.eventId ?? eventId, purchaseId);
    },
  }),
};
