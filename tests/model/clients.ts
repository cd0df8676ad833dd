/**
 * Clients of one replica each, with and without HTTP. Their answers hold what the model predicts and nothing else, and a
 * history is played on several clients of one database.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Pool } from '../../src/db/client.js';
import { toEvent, toPurchase } from '../../src/http/contract/schemas.js';
import { createAvailability } from '../../src/sale/availability.js';
import { sweep } from '../../src/sale/expiry.js';
import type { Outcome, Purchase, RuleValues } from '../../src/sale/types.js';
import { readEventForAdmin } from '../../src/sql/readEventForAdmin.js';
import { readPurchase } from '../../src/sql/readPurchase.js';
import { updateEvent } from '../../src/sql/updateEvent.js';
import { act, type Answer as HttpAnswer, buy, changeEvent, type Client, lookUp, send } from '../support/client.js';
import { adminToken } from '../support/replica.js';
import { request, type AnySale } from '../support/sales.js';
import { type Answer, type Model, type ModelRules, type Operation, type Precedes, windows } from './model.js';
import { expiredBeforeMs } from './predict.js';

type Act = (eventId: string, purchaseId: string) => Promise<Answer>;

export interface ModelClient extends Client<Answer> {
  buy(eventId: string, quantity: number, key?: string, buyer?: string): Promise<Answer>;
  read(eventId: string): Promise<Answer>;
  books(eventId: string): Promise<Answer>;
  change(eventId: string, change: Partial<ModelRules>): Promise<Answer>;
  sweep(): Promise<Answer>;
  pass(eventId: string, purchaseIds: readonly string[]): Promise<Answer>;
  readonly lookUp: Act;
  readonly confirm: Act;
  readonly release: Act;
  readonly cancel: Act;
}

/** Plays one operation; whatever is thrown is an answer too, and a wrong one. */
export async function play(clients: readonly ModelClient[], model: Model, operation: Operation): Promise<Answer> {
  const [client, eventId] = [clients[operation.client]!, model.events[operation.event]!.id];
  try {
    switch (operation.do) {
      case 'buy':
        return await client.buy(eventId, operation.quantity, operation.key, operation.buyer);
      case 'read':
      case 'books':
        return await client[operation.do](eventId);
      case 'look up':
        return await client.lookUp(eventId, operation.purchaseId);
      case 'confirm':
      case 'release':
      case 'cancel':
        return await client[operation.do](eventId, operation.purchaseId);
      case 'change':
        return await client.change(eventId, operation.change);
      case 'sweep':
        return await client.sweep();
      case 'pass':
        return await client.pass(eventId, operation.purchaseIds);
    }
  } catch (error) {
    return { kind: 'fault', error: String(error instanceof Error ? (error.cause ?? error) : error) };
  }
}

/**
 * Without HTTP, what is sent first arrives first; and one replica serves the requests of an event in their order. Buyers who are
 * named may wait in a queue of their own, and so may confirmations.
 */
export const firstComeFirstServed: Precedes = (first, second) =>
  isQueued(first) && isQueued(second) && first.client === second.client && first.event === second.event;

const isQueued = (operation: Operation) =>
  operation.do === 'buy' ? operation.buyer === undefined : operation.do === 'release' || operation.do === 'cancel';

/** Time passes and the sweeper sweeps in the database, whatever the replica. */
function timeIn(pool: Pool): Pick<ModelClient, 'pass' | 'sweep'> {
  return {
    pass: async (eventId, purchaseIds) => {
      // Locked in the order of their ids, as everywhere.
      await pool.prisma.$executeRaw`
        WITH hold AS MATERIALIZED (
          SELECT event_id, id
            FROM purchases
           WHERE event_id = ${eventId}::uuid AND id = ANY (${purchaseIds}::uuid[]) AND status = 'held' AND expires_at > now()
           ORDER BY id
             FOR NO KEY UPDATE)
        UPDATE purchases p
           SET expires_at = p.created_at - ${expiredBeforeMs}::int * interval '1 ms'
          FROM hold
         WHERE p.event_id = hold.event_id AND p.id = hold.id`;
      return { kind: 'passed' };
    },
    sweep: async () => {
      await sweep(pool, () => Promise.resolve(true));
      return { kind: 'swept' };
    },
  };
}

/** @param pool for reads and the admin; the sale has its own */
export function saleClient(pool: Pool, sale: AnySale): ModelClient {
  const bounds = { inProgressMax: 1_000, inProgressPerKeyMax: 1_000, inProgressPerKeyMin: 1_000, queueWaitMs: 20_000, deadlineMs: 20_000 };
  const availability = createAvailability(pool, { ...bounds, queriesInFlightMax: 1, batchReadsMax: 500 }, () => undefined);
  const giveBack =
    (kind: 'release' | 'cancel'): Act =>
    async (eventId, purchaseId) =>
      answerOf(await sale.sell(eventId, { kind, purchaseId, asBuyer: undefined }));
  return {
    ...timeIn(pool),
    buy: async (eventId, quantity, key, buyer) =>
      answerOf(await sale.sell(eventId, request(quantity, key, buyer === undefined ? {} : { buyerId: buyer }))),
    read: async (eventId) => {
      const outcome = await availability.read(eventId);
      return outcome.kind === 'found' ? eventOf(toEvent(outcome.event)) : outcome;
    },
    books: async (eventId) => {
      const event = await readEventForAdmin(pool.prisma, eventId);
      return event ? { kind: 'books', available: event.available, held: event.held, sold: event.sold } : { kind: 'event-not-found' };
    },
    lookUp: async (eventId, purchaseId) => {
      const purchase = await readPurchase(pool.prisma, eventId, purchaseId);
      return purchase ? { kind: 'purchase', purchase: purchaseOf(toPurchase(purchase)) } : { kind: 'purchase-not-found' };
    },
    change: async (eventId, change) => {
      const changed = await updateEvent(pool.prisma, eventId, toRules(change));
      if (!changed) return { kind: 'event-not-found' };
      return changed.kind === 'changed' ? eventOf(toEvent(changed.event)) : { kind: 'limit above quota' };
    },
    confirm: async (eventId, purchaseId) => answerOf(await sale.confirm({ kind: 'confirm', eventId, purchaseId })),
    release: giveBack('release'),
    cancel: giveBack('cancel'),
  };
}

function answerOf(outcome: Outcome): Answer {
  switch (outcome.kind) {
    case 'granted':
    case 'settled':
      return { ...outcome, purchase: purchaseOf(toPurchase(outcome.purchase)) };
    case 'sale-not-started':
      return { kind: outcome.kind, saleStartsAt: outcome.saleStartsAt };
    default:
      return outcome;
  }
}

function toRules({ limit, window, perBuyer, holdSeconds }: Partial<ModelRules>): Partial<RuleValues> {
  const { saleStartsAt, saleEndsAt } = windows[window ?? 'none'];
  return {
    ...(limit !== undefined && { maxPurchaseLimit: limit }),
    ...(window !== undefined && { saleStartsAt, saleEndsAt }),
    ...(perBuyer !== undefined && { maxPerBuyer: perBuyer }),
    ...(holdSeconds !== undefined && { holdSeconds }),
  };
}

/** @param pool for what is beyond every caller: time, and the sweeper */
export function httpClient(address: string, pool: Pool): ModelClient {
  const acting =
    (action: 'confirm' | 'release' | 'cancel'): Act =>
    async (eventId, purchaseId) => {
      const answer = await act(address, eventId, purchaseId, action);
      return answer.status === 200 ? { kind: 'settled', purchase: purchaseOf(answer.body) } : refusalOf(answer);
    };
  return {
    ...timeIn(pool),
    buy: async (eventId, quantity, key, buyer) => {
      const answer = await buy(address, eventId, quantity, key?.padEnd(16, '.'), buyer === undefined ? {} : { buyer_id: buyer });
      if (answer.status !== 201) return refusalOf(answer);
      if (answer.headers.get('Location') !== `/events/${eventId}/purchases/${answer.body.id}`) return unexpected(answer);
      const replayed = answer.headers.get('Idempotency-Replayed') === 'true';
      return { kind: 'granted', purchase: purchaseOf(answer.body), replayed };
    },
    read: async (eventId) => {
      const answer = await send(`${address}/events/${eventId}`);
      return answer.status === 200 ? eventOf(answer.body) : refusalOf(answer);
    },
    books: async (eventId) => {
      const answer = await send(`${address}/admin/events/${eventId}`, { headers: { Authorization: `Bearer ${adminToken}` } });
      if (answer.status !== 200) return refusalOf(answer);
      const { available_quantity: available, held_quantity: held, sold_quantity: sold } = answer.body as unknown as Record<string, number>;
      return { kind: 'books', available: available!, held: held!, sold: sold! };
    },
    lookUp: async (eventId, purchaseId) => {
      const answer = await lookUp(address, eventId, purchaseId);
      return answer.status === 200 ? { kind: 'purchase', purchase: purchaseOf(answer.body) } : refusalOf(answer);
    },
    change: async (eventId, change) => {
      const { maxPurchaseLimit, saleStartsAt, saleEndsAt, maxPerBuyer, holdSeconds } = toRules(change);
      const answer = await changeEvent(address, eventId, {
        ...(maxPurchaseLimit !== undefined && { max_purchase_limit: maxPurchaseLimit }),
        ...(saleStartsAt !== undefined && { sale_starts_at: saleStartsAt?.toISOString() ?? null }),
        ...(saleEndsAt !== undefined && { sale_ends_at: saleEndsAt?.toISOString() ?? null }),
        ...(maxPerBuyer !== undefined && { max_per_buyer: maxPerBuyer }),
        ...(holdSeconds !== undefined && { hold_seconds: holdSeconds }),
      });
      return answer.status === 200 ? eventOf(answer.body) : refusalOf(answer);
    },
    confirm: acting('confirm'),
    release: acting('release'),
    cancel: acting('cancel'),
  };
}

type Body = Readonly<Record<string, unknown>>;

/** @throws unless all tickets are void, or none is, as its status says */
function purchaseOf(body: Body): Purchase {
  const tickets = body['tickets'] as readonly { readonly id: string; readonly status?: string }[];
  const [status, expiresAt] = [body['status'] as Purchase['status'], body['expires_at'] as string | null];
  if (tickets.some((ticket) => (ticket.status === 'void') !== (status === 'cancelled'))) throw new Error(`void? ${JSON.stringify(body)}`);
  return {
    id: String(body['id']),
    eventId: String(body['event_id']),
    quantity: Number(body['quantity']),
    status,
    buyerId: body['buyer_id'] as string | null,
    reference: body['reference'] as string | null,
    createdAt: new Date(String(body['created_at'])),
    expiresAt: expiresAt === null ? null : new Date(expiresAt),
    ticketIds: tickets.map(({ id }) => id),
  };
}

function eventOf(body: Body): Answer {
  const dates = [body['sale_starts_at'], body['sale_ends_at']];
  const [window] = Object.entries(windows).find(([, { saleStartsAt, saleEndsAt }]) =>
    isDeepStrictEqual(dates, [saleStartsAt?.toISOString() ?? null, saleEndsAt?.toISOString() ?? null]),
  ) ?? ['unknown'];
  return {
    kind: 'event',
    available: Number(body['available_quantity']),
    status: String(body['status']),
    limit: Number(body['max_purchase_limit']),
    window: window as ModelRules['window'],
    perBuyer: body['max_per_buyer'] as number | null,
    holdSeconds: body['hold_seconds'] as number | null,
  };
}

/** The codes of the contract are the outcomes of the sale; each has one status. */
function refusalOf(answer: HttpAnswer): Answer {
  const { status, body } = answer;
  const [available, held] = [Number(body['available_quantity']), Number(body['held_quantity'])];
  const refusals: Record<string, Answer> = {
    '409 sold-out': available === 0 ? { kind: 'sold-out', held } : unexpected(answer),
    '409 insufficient-availability': { kind: 'insufficient-availability', available, held },
    '409 sale-not-started': { kind: 'sale-not-started', saleStartsAt: new Date(String(body['sale_starts_at'])) },
    '409 buyer-limit-exceeded': { kind: 'buyer-limit-exceeded', remaining: Number(body['remaining']) },
    '422 purchase-limit-exceeded': { kind: 'purchase-limit-exceeded', maxPurchaseLimit: Number(body['max_purchase_limit']) },
    '400 validation': isAboveQuota(body) ? { kind: 'limit above quota' } : unexpected(answer),
  };
  return refusals[`${String(status)} ${body.code}`] ?? plainRefusals[`${String(status)} ${body.code}`] ?? unexpected(answer);
}

const isAboveQuota = (body: Body) =>
  (body['errors'] as readonly { readonly message: string }[] | undefined)?.some(({ message }) =>
    message.startsWith('must not exceed total_quota'),
  );

/** Those that carry nothing. */
const plainRefusals: Readonly<Record<string, Answer>> = {
  '404 event-not-found': { kind: 'event-not-found' },
  '404 purchase-not-found': { kind: 'purchase-not-found' },
  '409 sale-ended': { kind: 'sale-ended' },
  '409 hold-expired': { kind: 'hold-expired' },
  '409 hold-released': { kind: 'hold-released' },
  '409 purchase-confirmed': { kind: 'purchase-confirmed' },
  '409 purchase-cancelled': { kind: 'purchase-cancelled' },
  '422 buyer-required': { kind: 'buyer-required' },
  '422 idempotency-key-reused': { kind: 'idempotency-key-reused' },
};

function unexpected({ status, body }: HttpAnswer): Answer {
  return { kind: 'fault', error: `${String(status)} ${JSON.stringify(body)}` };
}
