/**
 * The commands that histories are made of. Each is one or several wishes, fulfilled at once and held against the model.
 */
import fc from 'fast-check';
import { type ModelClient, play } from './clients.js';
import { explain, type Model, type Operation, type Played, type Precedes, predict, soldOf } from './model.js';

/** Two clients, two events, and one id that belongs to no event. */
export const clientCount = 2;
/** Few, so that they meet again and on both events. */
const keys = ['a', 'b', 'c', 'd', 'e'];
const quantityMax = 5;

/** An operation, or one that depends on the history: on the `nth` of something, counted round and round, or on what is left. */
export type Wish =
  | Operation
  /** The same as before, whatever it was answered. */
  | { readonly do: 'ask again'; readonly client: number; readonly nth: number }
  /** The same key and body as a purchase, or another body. */
  | { readonly do: 'retry'; readonly client: number; readonly nth: number }
  | { readonly do: 'reuse'; readonly client: number; readonly nth: number }
  | { readonly do: 'buy the rest'; readonly client: number; readonly event: number }
  | { readonly do: 'look up again'; readonly client: number; readonly nth: number; readonly event: number };

/** @returns undefined if nothing has happened yet that the wish could mean */
function toOperation(wish: Wish, { asked, models }: Course): Operation | undefined {
  const model = models[0]!;
  const { purchases } = model;
  if (wish.do === 'buy the rest') {
    const left = model.events[wish.event]!.quota - soldOf(model, wish.event);
    return { do: 'buy', client: wish.client, event: wish.event, quantity: Math.max(1, left), key: undefined };
  }
  if (wish.do === 'look up again') {
    const found = purchases[wish.nth % purchases.length];
    return found && { do: 'look up', client: wish.client, event: wish.event, purchaseId: found.purchase.id };
  }
  if (wish.do === 'ask again') {
    const found = asked[wish.nth % asked.length];
    return found && { ...found, client: wish.client };
  }
  if (wish.do !== 'retry' && wish.do !== 'reuse') return wish;
  const keyed = purchases.filter((bought) => bought.key !== undefined);
  const found = keyed[wish.nth % keyed.length];
  if (!found) return undefined;
  const { quantity } = found.purchase;
  return { do: 'buy', client: wish.client, event: found.event, quantity: quantity + (wish.do === 'reuse' ? 1 : 0), key: found.key };
}

/** What a history is played on. */
export interface Real {
  readonly clients: readonly ModelClient[];
  /** What is promised of the order among operations that are sent at once. */
  readonly precedes: Precedes;
  /** Every answer, for those who count them. */
  readonly onAnswer: (played: Played) => void;
}

/** A history as it goes on. */
export interface Course {
  /** What may be; several only as long as no answer has distinguished them. They have the same events and purchases. */
  models: readonly Model[];
  /** Every attempt to buy with a key. */
  asked: readonly Operation[];
}

class AtOnce implements fc.AsyncCommand<Course, Real> {
  readonly #wishes: readonly Wish[];

  constructor(wishes: readonly Wish[]) {
    this.#wishes = wishes;
  }

  check(course: Readonly<Course>): boolean {
    return this.#wishes.some((wish) => toOperation(wish, course) !== undefined);
  }

  async run(course: Course, { clients, precedes, onAnswer }: Real): Promise<void> {
    const before = course.models[0]!;
    const operations = this.#wishes.flatMap((wish) => toOperation(wish, course) ?? []);
    const played = await Promise.all(
      operations.map(async (operation): Promise<Played> => ({ operation, answer: await play(clients, before, operation) })),
    );
    played.forEach(onAnswer);
    const after = explain(course.models, played, precedes);
    if (after.length === 0) throw new Error(unexplained(before, played));
    course.models = after;
    course.asked = [...course.asked, ...operations.filter((operation) => operation.do === 'buy' && operation.key !== undefined)];
  }

  toString(): string {
    return this.#wishes.map((wish) => JSON.stringify(wish)).join(' with ');
  }
}

function unexplained(before: Model, played: readonly Played[]): string {
  const lines = played.map(({ operation, answer }) => {
    const given = answer.kind === 'granted' ? answer.purchase : undefined;
    const alone = predict(before, operation, given).answer;
    return `${JSON.stringify(operation)}\n    was answered ${JSON.stringify(answer)}\n    alone, it would be ${JSON.stringify(alone)}`;
  });
  return ['no order explains these answers:', ...lines].join('\n  ');
}

const client = fc.nat({ max: clientCount - 1 });
/** Mostly the first, sometimes the second, seldom the id that belongs to no event. */
const event = fc.oneof(...[12, 4, 1].map((weight, index) => ({ weight, arbitrary: fc.constant(index) })));
const quantity = fc.integer({ min: 1, max: quantityMax });
const key = fc.constantFrom(...keys);
const nth = fc.nat({ max: 50 });

const keyless = fc.record({ do: fc.constant('buy' as const), client, event, quantity, key: fc.constant(undefined) });
const keyed = fc.record({ do: fc.constant('buy' as const), client, event, quantity, key });
const again = fc.record({ do: fc.constant('ask again' as const), client, nth });
const retry = fc.record({ do: fc.constant('retry' as const), client, nth });
const reuse = fc.record({ do: fc.constant('reuse' as const), client, nth });
const rest = fc.record({ do: fc.constant('buy the rest' as const), client, event });
const lookUp = fc.record({ do: fc.constant('look up again' as const), client, nth, event });
const read = fc.record({ do: fc.constant('read' as const), client, event });
const limit = fc.record({ do: fc.constant('limit' as const), client, event, limit: quantity });

const alone: fc.Arbitrary<Wish>[] = [keyless, keyed, rest, again, retry, reuse, lookUp, read, limit, limit];
/** A page that several people refresh, each through their own replica. */
const readers = event.map((one): Wish[] => Array.from({ length: clientCount }, (_, to) => ({ do: 'read', client: to, event: one })));
/** One purchase with one key, sent again and again before it was answered, through either client. */
const duplicates = fc
  .tuple(keyed, fc.array(client, { minLength: 2, maxLength: 6 }))
  .map(([bought, clients]): Wish[] => clients.map((to) => ({ ...bought, client: to })));
const buyers = fc.array(fc.oneof(keyless, keyed, rest, again, retry, reuse), { minLength: 2, maxLength: 7 });
const everybody = fc.array(fc.oneof(keyless, ...alone), { minLength: 2, maxLength: 7 });

/** Who comes at once: nobody, so that every command is one operation; buyers; or everybody, the admin and readers too. */
export type Crowd = 'nobody' | 'buyers' | 'everybody';

export function commands(crowd: Crowd) {
  const crowds: Record<Crowd, fc.Arbitrary<readonly Wish[]>[]> = {
    nobody: [],
    buyers: [duplicates, buyers],
    everybody: [duplicates, buyers, everybody],
  };
  const single = alone.map((wish) => wish.map((one): readonly Wish[] => [one]));
  const all = [...single, readers, readers, ...crowds[crowd]].map((wishes) => wishes.map((some) => new AtOnce(some)));
  return fc.commands(all, { maxCommands: 24, size: 'max' });
}

/** The quotas of the events: small, so that most histories come to the end of the sale and go on after it. */
export const quotas = fc.tuple(fc.integer({ min: 1, max: 16 }), fc.integer({ min: 1, max: 16 }));
