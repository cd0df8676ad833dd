/**
 * Clients of one replica each, with and without HTTP. Their answers hold what the model predicts and nothing else, and a
 * history is played on several clients of one database.
 */
import type { Pool } from '../../src/db/client.js';
import { createAvailability } from '../../src/sale/availability.js';
import type { Outcome, Purchase, PurchaseStatus } from '../../src/sale/types.js';
import type { EventRow } from '../../src/sql/eventColumns.js';
import { readPurchase } from '../../src/sql/readPurchase.js';
import { updateEvent } from '../../src/sql/updateEvent.js';
import { type Answer as HttpAnswer, buy, changeLimit, type Client, send } from '../support/client.js';
import { request, type AnySale } from '../support/sales.js';
import { type Answer, type Model, type Operation, type Precedes } from './model.js';

export interface ModelClient extends Client<Answer> {
  read(eventId: string): Promise<Answer>;
  lookUp(eventId: string, purchaseId: string): Promise<Answer>;
  limit(eventId: string, limit: number): Promise<Answer>;
}

/** Plays one operation; whatever is thrown is an answer too, and a wrong one. */
export async function play(clients: readonly ModelClient[], model: Model, operation: Operation): Promise<Answer> {
  const [client, eventId] = [clients[operation.client]!, model.events[operation.event]!.id];
  try {
    switch (operation.do) {
      case 'buy':
        return await client.buy(eventId, operation.quantity, operation.key);
      case 'read':
        return await client.read(eventId);
      case 'look up':
        return await client.lookUp(eventId, operation.purchaseId);
      case 'limit':
        return await client.limit(eventId, operation.limit);
    }
  } catch (error) {
    return { kind: 'fault', error: String(error instanceof Error ? (error.cause ?? error) : error) };
  }
}

/** Without HTTP, what is sent first arrives first; and one replica serves the buyers of an event in the order of their requests. */
export const firstComeFirstServed: Precedes = (first, second) =>
  first.do === 'buy' && second.do === 'buy' && first.client === second.client && first.event === second.event;

/** @param pool for reads and the admin; the sale has its own */
export function saleClient(pool: Pool, sale: AnySale): ModelClient {
  const bounds = { inProgressMax: 1_000, inProgressPerKeyMax: 1_000, inProgressPerKeyMin: 1_000, queueWaitMs: 20_000, deadlineMs: 20_000 };
  const availability = createAvailability(pool, { ...bounds, queriesInFlightMax: 1, batchReadsMax: 500 }, () => undefined);
  const shown = ({ available, maxPurchaseLimit }: EventRow): Answer => ({ kind: 'event', available, limit: maxPurchaseLimit });
  return {
    buy: async (eventId, quantity, key) => {
      const outcome = await sale.sell(eventId, request(quantity, key));
      return outcome;
    },
    read: async (eventId) => {
      const outcome = await availability.read(eventId);
      return outcome.kind === 'found' ? shown(outcome.event) : outcome;
    },
    lookUp: async (eventId, purchaseId) => {
      const purchase = await readPurchase(pool.prisma, eventId, purchaseId);
      return purchase ? { kind: 'purchase', purchase } : { kind: 'purchase-not-found' };
    },
    limit: async (eventId, maxPurchaseLimit) => {
      const update = await updateEvent(pool.prisma, eventId, { maxPurchaseLimit });
      if (update?.kind === 'limit above quota') return { kind: 'limit above quota' };
      return update ? shown(update.event) : { kind: 'event-not-found' };
    },
  };
}

export function httpClient(address: string): ModelClient {
  const events = `${address}/events`;
  return {
    buy: async (eventId, quantity, key) => {
      const answer = await buy(address, eventId, quantity, key?.padEnd(16, '.'));
      if (answer.status !== 201) return refusalOf(answer);
      if (answer.headers.get('Location') !== `/events/${eventId}/purchases/${answer.body.id}`) return unexpected(answer);
      return { kind: 'granted', purchase: purchaseOf(answer), replayed: answer.headers.get('Idempotency-Replayed') === 'true' };
    },
    read: async (eventId) => eventOf(await send(`${events}/${eventId}`)),
    lookUp: async (eventId, purchaseId) => {
      const answer = await send(`${events}/${eventId}/purchases/${purchaseId}`);
      return answer.status === 200 ? { kind: 'purchase', purchase: purchaseOf(answer) } : refusalOf(answer);
    },
    limit: async (eventId, limit) => {
      const answer = await changeLimit(address, eventId, limit);
      const isAboveQuota = answer.status === 400 && JSON.stringify(answer.body['errors']).includes('must not exceed the quota');
      return isAboveQuota ? { kind: 'limit above quota' } : eventOf(answer);
    },
  };
}

function purchaseOf({ body }: HttpAnswer): Purchase {
  const ticketIds = body.tickets.map((ticket) => ticket.id);
  return {
    id: body.id,
    eventId: String(body['event_id']),
    quantity: Number(body['quantity']),
    status: body['status'] as PurchaseStatus,
    buyerId: body['buyer_id'] as string | null,
    reference: body['reference'] as string | null,
    createdAt: timeOf(body),
    expiresAt: body['expires_at'] === null ? null : timeOf(body, 'expires_at'),
    ticketIds,
  };
}

const timeOf = (body: HttpAnswer['body'], member = 'created_at') => new Date(body[member] as string);

function eventOf(answer: HttpAnswer): Answer {
  if (answer.status !== 200) return refusalOf(answer);
  return { kind: 'event', available: Number(answer.body['available_quantity']), limit: Number(answer.body['max_purchase_limit']) };
}

/** The codes of the contract are the outcomes of the sale; each has one status. */
function refusalOf(answer: HttpAnswer): Answer {
  const { status, body } = answer;
  const [available, held] = [Number(body['available_quantity']), Number(body['held_quantity'])];
  const refusals: Record<string, Outcome | Answer> = {
    '404 event-not-found': { kind: 'event-not-found' },
    '404 purchase-not-found': { kind: 'purchase-not-found' },
    '409 sold-out': available === 0 ? { kind: 'sold-out', held } : unexpected(answer),
    '409 insufficient-availability': { kind: 'insufficient-availability', available, held },
    '422 purchase-limit-exceeded': { kind: 'purchase-limit-exceeded', maxPurchaseLimit: Number(body['max_purchase_limit']) },
    '422 idempotency-key-reused': { kind: 'idempotency-key-reused' },
  };
  return refusals[`${String(status)} ${body.code}`] ?? unexpected(answer);
}

function unexpected({ status, body }: HttpAnswer): Answer {
  return { kind: 'fault', error: `${String(status)} ${JSON.stringify(body)}` };
}
