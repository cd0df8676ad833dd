/**
 * The model: what a server that serves one caller after the other, and forgets nothing, would answer. Pure and without
 * a database. Of operations that ran at once it asks only that some order of them explains all the answers.
 */
import { isDeepStrictEqual } from 'node:util';
import type { ReadOutcome } from '../../src/sale/availability.js';
import type { Outcome, Purchase } from '../../src/sale/types.js';

/** Events are named by their place in the model, so that a history says the same whatever their ids are. */
export type Operation = { readonly client: number; readonly event: number } & (
  | { readonly do: 'buy'; readonly quantity: number; readonly key: string | undefined }
  | { readonly do: 'read' }
  | { readonly do: 'look up'; readonly purchaseId: string }
  | { readonly do: 'limit'; readonly limit: number }
);

export type Answer =
  | Outcome
  | Exclude<ReadOutcome, { kind: 'found' }>
  | { readonly kind: 'event'; readonly available: number; readonly limit: number }
  | { readonly kind: 'purchase'; readonly purchase: Purchase }
  | { readonly kind: 'limit above quota' }
  /** Never right: no history here breaks a machine. */
  | { readonly kind: 'fault'; readonly error: string };

/** An operation that ran, and what it was answered. */
export interface Played {
  readonly operation: Operation;
  readonly answer: Answer;
}

export interface ModelPurchase {
  readonly event: number;
  readonly purchase: Purchase;
  readonly key: string | undefined;
}

export interface ModelEvent {
  readonly id: string;
  readonly quota: number;
  readonly limit: number;
  /** False: its id was never given to an event. */
  readonly exists: boolean;
}

export interface Model {
  readonly events: readonly ModelEvent[];
  readonly purchases: readonly ModelPurchase[];
}

export function soldOf(model: Model, event: number): number {
  return model.purchases.reduce((sum, bought) => sum + (bought.event === event ? bought.purchase.quantity : 0), 0);
}

interface Prediction {
  readonly answer: Answer;
  readonly next: Model;
}

/** @param given the purchase that the answer names, if any: of a new one, the model cannot know ids and time */
export function predict(model: Model, operation: Operation, given?: Purchase): Prediction {
  const stays = (answer: Answer): Prediction => ({ answer, next: model });
  const event = model.events[operation.event]!;
  const shown = ({ limit }: ModelEvent): Answer => ({ kind: 'event', available: event.quota - soldOf(model, operation.event), limit });
  switch (operation.do) {
    case 'look up': {
      const found = model.purchases.find((bought) => bought.event === operation.event && bought.purchase.id === operation.purchaseId);
      return stays(found ? { kind: 'purchase', purchase: found.purchase } : { kind: 'purchase-not-found' });
    }
    case 'read':
      return stays(event.exists ? shown(event) : { kind: 'event-not-found' });
    case 'limit': {
      if (!event.exists) return stays({ kind: 'event-not-found' });
      if (operation.limit > event.quota) return stays({ kind: 'limit above quota' });
      const changed = { ...event, limit: operation.limit };
      return { answer: shown(changed), next: { ...model, events: model.events.with(operation.event, changed) } };
    }
    case 'buy':
      return predictPurchase(model, event, operation, given);
  }
}

function predictPurchase(model: Model, event: ModelEvent, operation: Operation & { do: 'buy' }, given?: Purchase): Prediction {
  const stays = (answer: Answer): Prediction => ({ answer, next: model });
  const { event: index, quantity, key } = operation;
  if (!event.exists) return stays({ kind: 'event-not-found' });
  const earlier = key === undefined ? undefined : model.purchases.find((bought) => bought.event === index && bought.key === key);
  if (earlier && earlier.purchase.quantity !== quantity) return stays({ kind: 'idempotency-key-reused' });
  if (earlier) return stays({ kind: 'granted', purchase: earlier.purchase, replayed: true });
  if (quantity > event.limit) return stays({ kind: 'purchase-limit-exceeded', maxPurchaseLimit: event.limit });
  const available = event.quota - soldOf(model, index);
  if (available === 0) return stays({ kind: 'sold-out', held: 0 });
  if (quantity > available) return stays({ kind: 'insufficient-availability', available, held: 0 });
  const purchase = named(model, event, quantity, given);
  const next = { ...model, purchases: [...model.purchases, { event: index, purchase, key }] };
  return { answer: { kind: 'granted', purchase, replayed: false }, next };
}

/** A new purchase with the ids and the time that it was given, if they are such as a new purchase may have. */
function named(model: Model, event: ModelEvent, quantity: number, given?: Purchase): Purchase {
  const unnamed = {
    id: 'a new id',
    eventId: event.id,
    quantity,
    status: 'confirmed' as const,
    buyerId: null,
    reference: null,
    createdAt: new Date(0),
    expiresAt: null,
    ticketIds: [`${String(quantity)} new ids, sorted`],
  };
  if (!given) return unnamed;
  const { id, createdAt, ticketIds } = given;
  const known = new Set(model.purchases.flatMap((bought) => [bought.purchase.id, ...bought.purchase.ticketIds]));
  const isNew = new Set([id, ...ticketIds]).size === quantity + 1 && ![id, ...ticketIds].some((one) => known.has(one));
  const isSorted = isDeepStrictEqual([...ticketIds].sort(), ticketIds);
  return isNew && isSorted && ticketIds.length === quantity ? { ...unnamed, id, createdAt, ticketIds } : unnamed;
}

/** @returns the model after an operation that was answered so; undefined if this cannot be the answer */
export function step(model: Model, { operation, answer }: Played): Model | undefined {
  const given = answer.kind === 'granted' ? answer.purchase : undefined;
  const predicted = predict(model, operation, given);
  return isDeepStrictEqual(predicted.answer, answer) ? predicted.next : undefined;
}

/** Must the first be served before the second? Given in the order in which they were sent. */
export type Precedes = (first: Operation, second: Operation) => boolean;

/** Some of the operations that ran at once have been served, and this is the model after them. */
interface Course {
  /** One bit for each. */
  readonly served: number;
  readonly model: Model;
}

/**
 * Looks for the orders in which the model gives every operation the answer that it was given. Several may end differently:
 * of two limits that were set at once, either may be the one that stays, until an answer tells.
 *
 * Breadth first, over the sets of operations that may have been served, not over the orders: what a set has sold does not
 * depend on its order, because each answer says what it sold.
 *
 * @param models what may be before
 * @param played what ran at once, in the order in which it was sent
 * @returns what may be afterwards; nothing if no order explains the answers
 */
export function explain(models: readonly Model[], played: readonly Played[], precedes: Precedes = () => false): readonly Model[] {
  const longer = (courses: readonly Course[]): readonly Course[] => {
    const found = courses.flatMap((course) => played.flatMap((_, index) => serve(course, played, index, precedes) ?? []));
    return [...new Map(found.map((course) => [nameOf(course), course])).values()];
  };
  const start: readonly Course[] = models.map((model) => ({ served: 0, model }));
  return played.reduce((courses) => longer(courses), start).map((course) => course.model);
}

function serve({ served, model }: Course, played: readonly Played[], index: number, precedes: Precedes): Course | undefined {
  const isServed = (which: number) => (served & (1 << which)) !== 0;
  const next = played[index]!;
  const waitsFor = (earlier: Played, which: number) => which < index && !isServed(which) && precedes(earlier.operation, next.operation);
  if (isServed(index) || played.some(waitsFor)) return undefined;
  const after = step(model, next);
  return after && { served: served | (1 << index), model: after };
}

function nameOf({ served, model }: Course): string {
  return [served, ...model.events.map((event) => event.limit)].join();
}
