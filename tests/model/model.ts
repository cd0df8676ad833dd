/**
 * The model: what a server that serves one caller after the other, and forgets nothing, would answer. Pure and without
 * a database. Time is virtual: holds expire when a history says so. Of operations that ran at once it asks only that some order of
 * them explains all the answers.
 */
import { isDeepStrictEqual } from 'node:util';
import type { ReadOutcome } from '../../src/sale/availability.js';
import type { Outcome, Phase, Purchase } from '../../src/sale/types.js';
import { predict } from './predict.js';

/** Sale windows whose phase no clock can change while the tests run. */
export const windows = {
  none: { phase: 'open', saleStartsAt: null, saleEndsAt: null },
  open: { phase: 'open', saleStartsAt: new Date('2000-01-01'), saleEndsAt: new Date('2900-01-01') },
  'opens later': { phase: 'scheduled', saleStartsAt: new Date('2900-01-01'), saleEndsAt: null },
  'is over': { phase: 'ended', saleStartsAt: null, saleEndsAt: new Date('2000-01-01') },
} as const satisfies Record<string, { readonly phase: Phase; readonly saleStartsAt: Date | null; readonly saleEndsAt: Date | null }>;

export interface ModelRules {
  readonly limit: number;
  readonly window: keyof typeof windows;
  readonly perBuyer: number | null;
  readonly holdSeconds: number | null;
}

/** Events are named by their place in the model, so that a history says the same whatever their ids are. */
export type Operation = { readonly client: number; readonly event: number } & (
  | { readonly do: 'buy'; readonly quantity: number; readonly key: string | undefined; readonly buyer?: string | undefined }
  | { readonly do: 'read' | 'books' | 'sweep' }
  | { readonly do: 'look up' | 'confirm' | 'release' | 'cancel'; readonly purchaseId: string }
  /** Time passes until these holds have expired. More than one of them only if nothing else happens at once. */
  | { readonly do: 'pass'; readonly purchaseIds: readonly string[] }
  | { readonly do: 'change'; readonly change: Partial<ModelRules> }
);

export type Answer =
  | Exclude<Outcome, { kind: 'sale-not-started' }>
  | Exclude<ReadOutcome, { kind: 'found' }>
  /** Without the seconds that are left, which only a clock knows. */
  | { readonly kind: 'sale-not-started'; readonly saleStartsAt: Date }
  | ({ readonly kind: 'event'; readonly available: number; readonly status: string } & ModelRules)
  /** As the admin sees an event. */
  | { readonly kind: 'books'; readonly available: number; readonly held: number; readonly sold: number }
  | { readonly kind: 'purchase'; readonly purchase: Purchase }
  | { readonly kind: 'limit above quota' | 'passed' | 'swept' }
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

export interface ModelEvent extends ModelRules {
  readonly id: string;
  readonly quota: number;
  /** False: its id was never given to an event. */
  readonly exists: boolean;
}

export interface Model {
  readonly events: readonly ModelEvent[];
  readonly purchases: readonly ModelPurchase[];
}

function sumOf(model: Model, event: number, status: Purchase['status']): number {
  return model.purchases.reduce(
    (sum, each) => sum + (each.event === event && each.purchase.status === status ? each.purchase.quantity : 0),
    0,
  );
}

export const soldOf = (model: Model, event: number): number => sumOf(model, event, 'confirmed');
export const heldOf = (model: Model, event: number): number => sumOf(model, event, 'held');
export const availableOf = (model: Model, event: number): number =>
  model.events[event]!.quota - soldOf(model, event) - heldOf(model, event);

/** The purchase as callers see it: when a hold would have expired is of no interest any more once it was confirmed or given back. */
export function shown(purchase: Purchase): Purchase {
  return purchase.status === 'held' || purchase.status === 'expired' ? purchase : { ...purchase, expiresAt: null };
}

/**
 * @param timePasses whether time passes at once with it. Then the answer of a shortage may leave out of `held` what expired after the
 *   tickets were counted: a hold that is neither available nor held
 * @returns the model after an operation that was answered so; undefined if this cannot be the answer
 */
export function step(model: Model, { operation, answer }: Played, timePasses = false): Model | undefined {
  const given = answer.kind === 'granted' || answer.kind === 'settled' ? answer.purchase : undefined;
  const predicted = predict(model, operation, given);
  if (isDeepStrictEqual(predicted.answer, answer)) return predicted.next;
  if (!timePasses || !('held' in answer) || !('held' in predicted.answer) || answer.kind === 'books') return undefined;
  const { held } = predicted.answer;
  return answer.held < held && isDeepStrictEqual(predicted.answer, { ...answer, held }) ? predicted.next : undefined;
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
 * Breadth first, over the sets of operations that may have been served and the models they led to, not over the orders.
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
  const timePasses = played.some(({ operation }) => operation.do === 'pass');
  const after = step(model, next, timePasses);
  return after && { served: served | (1 << index), model: after };
}

/** Two courses of one name differ in nothing that a later answer depends on. Purchases may have been made in another order. */
function nameOf({ served, model }: Course): string {
  const rules = model.events.map(({ limit, window, perBuyer, holdSeconds }) => [limit, window, perBuyer, holdSeconds].join());
  const statuses = model.purchases.map(({ purchase: { id, status } }) => `${id} ${status}`).sort();
  return [served, ...rules, ...statuses].join(';');
}
