/** What the model answers to one operation, and what it is afterwards: the contract, written down a second time. */
import { isDeepStrictEqual } from 'node:util';
import type { Purchase } from '../../src/sale/types.js';
import { type Answer, availableOf, heldOf, type Model, type ModelEvent, type Operation, shown, soldOf, windows } from './model.js';

interface Prediction {
  readonly answer: Answer;
  readonly next: Model;
}

type Buy = Operation & { readonly do: 'buy' };
type Act = Extract<Operation, { readonly purchaseId: string }> & { readonly do: 'confirm' | 'release' | 'cancel' };

/** A hold that was moved into the past expired this long before it was made; nothing depends on how long. */
export const expiredBeforeMs = 1_000;

/** @param given the purchase that the answer names, if any: the model cannot know the ids and the time of what is new in it */
export function predict(model: Model, operation: Operation, given?: Purchase): Prediction {
  const stays = (answer: Answer): Prediction => ({ answer, next: model });
  const event = model.events[operation.event]!;
  switch (operation.do) {
    case 'look up': {
      const found = purchaseOf(model, operation);
      return stays(found ? { kind: 'purchase', purchase: shown(found) } : { kind: 'purchase-not-found' });
    }
    case 'read':
      return stays(event.exists ? shownEvent(model, operation.event) : { kind: 'event-not-found' });
    case 'books':
      return stays(event.exists ? { kind: 'books', ...booksOf(model, operation.event) } : { kind: 'event-not-found' });
    case 'sweep':
      return stays({ kind: 'swept' });
    case 'pass':
      return { answer: { kind: 'passed' }, next: operation.purchaseIds.reduce(expire, model) };
    case 'change': {
      if (!event.exists) return stays({ kind: 'event-not-found' });
      if ((operation.change.limit ?? 0) > event.quota) return stays({ kind: 'limit above quota' });
      const next = { ...model, events: model.events.with(operation.event, { ...event, ...operation.change }) };
      return { answer: shownEvent(next, operation.event), next };
    }
    case 'buy':
      return predictPurchase(model, event, operation, given);
    case 'confirm':
    case 'release':
    case 'cancel':
      return predictAction(model, { ...operation, do: operation.do }, given);
  }
}

function booksOf(model: Model, event: number) {
  return { available: availableOf(model, event), held: heldOf(model, event), sold: soldOf(model, event) };
}

function shownEvent(model: Model, index: number): Answer {
  const { limit, window, perBuyer, holdSeconds } = model.events[index]!;
  const available = availableOf(model, index);
  const { phase } = windows[window];
  const open = available === 0 ? 'sold_out' : 'on_sale';
  return { kind: 'event', available, status: phase === 'open' ? open : phase, limit, window, perBuyer, holdSeconds };
}

function purchaseOf(model: Model, { event, purchaseId }: { readonly event: number; readonly purchaseId: string }): Purchase | undefined {
  return model.purchases.find((each) => each.event === event && each.purchase.id === purchaseId)?.purchase;
}

function withPurchase(model: Model, purchase: Purchase): Model {
  return { ...model, purchases: model.purchases.map((each) => (each.purchase.id === purchase.id ? { ...each, purchase } : each)) };
}

function expire(model: Model, purchaseId: string): Model {
  const purchase = model.purchases.find((each) => each.purchase.id === purchaseId)?.purchase;
  if (purchase?.status !== 'held') return model;
  return withPurchase(model, { ...purchase, status: 'expired', expiresAt: new Date(purchase.createdAt.getTime() - expiredBeforeMs) });
}

function predictPurchase(model: Model, event: ModelEvent, operation: Buy, given?: Purchase): Prediction {
  const stays = (answer: Answer): Prediction => ({ answer, next: model });
  const { event: index, quantity, key, buyer } = operation;
  if (!event.exists) return stays({ kind: 'event-not-found' });
  const earlier = key === undefined ? undefined : model.purchases.find((each) => each.event === index && each.key === key)?.purchase;
  if (earlier) {
    const isSame = earlier.quantity === quantity && earlier.buyerId === (buyer ?? null);
    return stays(isSame ? { kind: 'granted', purchase: shown(earlier), replayed: true } : { kind: 'idempotency-key-reused' });
  }
  const refusal = refusalOf(model, event, operation);
  if (refusal) return stays(refusal);
  const purchase = named(model, event, operation, given);
  const next = { ...model, purchases: [...model.purchases, { event: index, purchase, key }] };
  return { answer: { kind: 'granted', purchase, replayed: false }, next };
}

function refusalOf(model: Model, event: ModelEvent, { event: index, quantity, buyer }: Buy): Answer | undefined {
  if (quantity > event.limit) return { kind: 'purchase-limit-exceeded', maxPurchaseLimit: event.limit };
  if (event.perBuyer !== null && buyer === undefined) return { kind: 'buyer-required' };
  const { phase, saleStartsAt } = windows[event.window];
  if (phase === 'ended') return { kind: 'sale-ended' };
  if (phase === 'scheduled') return { kind: 'sale-not-started', saleStartsAt };
  const { available, held } = booksOf(model, index);
  if (available === 0) return { kind: 'sold-out', held };
  if (quantity > available) return { kind: 'insufficient-availability', available, held };
  const had = model.purchases
    .filter((each) => each.event === index && each.purchase.buyerId === buyer)
    .filter(({ purchase }) => purchase.status === 'held' || purchase.status === 'confirmed')
    .reduce((sum, { purchase }) => sum + purchase.quantity, 0);
  if (event.perBuyer !== null && had + quantity > event.perBuyer) {
    return { kind: 'buyer-limit-exceeded', remaining: Math.max(0, event.perBuyer - had) };
  }
  return undefined;
}

/** A new purchase with the ids and the time that it was given, if they are such as a new purchase may have. */
function named(model: Model, event: ModelEvent, { quantity, buyer }: Buy, given?: Purchase): Purchase {
  const isHold = event.holdSeconds !== null;
  const createdAt = given?.createdAt ?? new Date(0);
  const isNew = given !== undefined && !model.purchases.some(({ purchase }) => purchase.id === given.id);
  return {
    id: isNew ? given.id : 'a new id',
    eventId: event.id,
    quantity,
    status: isHold ? 'held' : 'confirmed',
    buyerId: buyer ?? null,
    reference: null,
    createdAt,
    expiresAt: event.holdSeconds === null ? null : new Date(createdAt.getTime() + event.holdSeconds * 1_000),
    ticketIds: isHold ? [] : newTickets(model, quantity, given),
  };
}

/** The tickets that were given, if there are as many as there must be, sorted, and none is known. */
function newTickets(model: Model, quantity: number, given?: Purchase): readonly string[] {
  const ids = given?.ticketIds ?? [];
  const known = new Set(model.purchases.flatMap(({ purchase }) => purchase.ticketIds));
  const isNew = new Set(ids).size === quantity && !ids.some((id) => known.has(id) || id === given?.id);
  const isSorted = isDeepStrictEqual([...ids].sort(), ids);
  return isNew && isSorted && ids.length === quantity ? ids : [`${String(quantity)} new ids, sorted`];
}

function predictAction(model: Model, operation: Act, given?: Purchase): Prediction {
  const stays = (answer: Answer): Prediction => ({ answer, next: model });
  // A confirmation asks for the purchase alone, the others for the event first.
  if (operation.do !== 'confirm' && !model.events[operation.event]!.exists) return stays({ kind: 'event-not-found' });
  const purchase = purchaseOf(model, operation);
  if (!purchase) return stays({ kind: 'purchase-not-found' });
  const becomes = (status: Purchase['status'], ticketIds = purchase.ticketIds): Prediction => {
    const after = { ...purchase, status, ticketIds };
    return { answer: { kind: 'settled', purchase: shown(after) }, next: withPurchase(model, after) };
  };
  const unchanged = stays({ kind: 'settled', purchase: shown(purchase) });
  const action = operation.do;
  switch (purchase.status) {
    case 'held':
      if (action === 'confirm') return becomes('confirmed', newTickets(model, purchase.quantity, given));
      return becomes(action === 'cancel' ? 'cancelled' : 'released');
    case 'confirmed':
      if (action === 'cancel') return becomes('cancelled');
      return action === 'confirm' ? unchanged : stays({ kind: 'purchase-confirmed' });
    case 'released':
      return action === 'release' ? unchanged : stays({ kind: 'hold-released' });
    case 'expired':
      return action === 'release' ? unchanged : stays({ kind: 'hold-expired' });
    case 'cancelled':
      return action === 'cancel' ? unchanged : stays({ kind: 'purchase-cancelled' });
  }
}
