/**
 * The commands that histories are made of. Each is one or several wishes, fulfilled at once and held against the model.
 */
import fc from 'fast-check';
import { type ModelClient, play } from './clients.js';
import { availableOf, explain, type Model, type ModelRules, type Operation, type Played, type Precedes } from './model.js';
import { predict } from './predict.js';

/** Two clients, two events, and one id that belongs to no event. */
export const clientCount = 2;
/** Few, so that they meet again and on both events. */
const keys = ['a', 'b', 'c', 'd', 'e'];
const buyers = ['ann', 'bob'];
const quantityMax = 5;
/** Long enough that no hold expires but by a command. */
const holdSeconds = 3_600;

/** An operation, or one that depends on the history: on the `nth` of something, counted round and round, or on what is left. */
export type Wish =
  | Operation
  /** The same as before, whatever it was answered. */
  | { readonly do: 'ask again'; readonly client: number; readonly nth: number }
  /** The same key and body as a purchase, or another body. */
  | { readonly do: 'retry'; readonly client: number; readonly nth: number }
  | { readonly do: 'reuse'; readonly client: number; readonly nth: number }
  | { readonly do: 'buy the rest'; readonly client: number; readonly event: number; readonly buyer?: string | undefined }
  /** Of a purchase, mostly at its own event. */
  | {
      readonly do: 'of a purchase';
      readonly what: 'look up' | 'confirm' | 'release' | 'cancel';
      readonly client: number;
      readonly nth: number;
      readonly event: number | undefined;
    }
  /** A hold expires. */
  | { readonly do: 'one expires'; readonly client: number; readonly nth: number }
  /** So much time passes that all holds of the event expire. */
  | { readonly do: 'all expire'; readonly client: number; readonly event: number };

/** @returns undefined if nothing has happened yet that the wish could mean */
function toOperation(wish: Wish, { asked, models }: Course): Operation | undefined {
  const model = models[0]!;
  const { purchases } = model;
  switch (wish.do) {
    case 'buy the rest': {
      const { client, event, buyer } = wish;
      return { do: 'buy', client, event, quantity: Math.max(1, availableOf(model, event)), key: undefined, buyer };
    }
    case 'of a purchase': {
      const found = purchases[wish.nth % purchases.length];
      return found && { do: wish.what, client: wish.client, event: wish.event ?? found.event, purchaseId: found.purchase.id };
    }
    case 'one expires': {
      const holds = purchases.filter(({ purchase }) => purchase.status === 'held');
      const found = holds[wish.nth % holds.length];
      return found && { do: 'pass', client: wish.client, event: found.event, purchaseIds: [found.purchase.id] };
    }
    case 'all expire': {
      const holds = purchases.filter(({ event, purchase }) => event === wish.event && purchase.status === 'held');
      const purchaseIds = holds.map(({ purchase }) => purchase.id);
      return holds.length === 0 ? undefined : { do: 'pass', client: wish.client, event: wish.event, purchaseIds };
    }
    case 'ask again': {
      const found = asked[wish.nth % asked.length];
      return found && { ...found, client: wish.client };
    }
    case 'retry':
    case 'reuse': {
      const keyed = purchases.filter((bought) => bought.key !== undefined);
      const found = keyed[wish.nth % keyed.length];
      if (!found) return undefined;
      const { quantity, buyerId } = found.purchase;
      const same = { do: 'buy', client: wish.client, event: found.event, quantity, key: found.key, buyer: buyerId ?? undefined } as const;
      if (wish.do === 'retry') return same;
      return wish.nth % 2 === 0 ? { ...same, quantity: quantity + 1 } : { ...same, buyer: buyerId === null ? 'ann' : undefined };
    }
    default:
      return wish;
  }
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
    const given = answer.kind === 'granted' || answer.kind === 'settled' ? answer.purchase : undefined;
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

const buyer = fc.option(fc.constantFrom(...buyers), { nil: undefined });
const keyless = fc.record({ do: fc.constant('buy' as const), client, event, quantity, key: fc.constant(undefined), buyer });
const keyed = fc.record({ do: fc.constant('buy' as const), client, event, quantity, key, buyer });
const again = fc.record({ do: fc.constant('ask again' as const), client, nth });
const retry = fc.record({ do: fc.constant('retry' as const), client, nth });
const reuse = fc.record({ do: fc.constant('reuse' as const), client, nth });
const rest = fc.record({ do: fc.constant('buy the rest' as const), client, event, buyer });
/** At an event that need not be that of the purchase, one time in eight. */
const elsewhere = fc.oneof({ weight: 7, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: event });
const ofPurchase = <W extends 'look up' | 'confirm' | 'release' | 'cancel'>(...what: W[]) =>
  fc.record({ do: fc.constant('of a purchase' as const), what: fc.constantFrom(...what), client, nth, event: elsewhere });
const lookUp = ofPurchase('look up');
const act = ofPurchase('confirm', 'confirm', 'release', 'release', 'cancel');
const read = fc.record({ do: fc.constantFrom('read' as const, 'books' as const), client, event });
const sweep = fc.record({ do: fc.constant('sweep' as const), client, event });
const expiry = fc.record({ do: fc.constant('one expires' as const), client, nth });
const expiries = fc.record({ do: fc.constant('all expire' as const), client, event });
const window = fc.constantFrom<ModelRules['window'][]>('none', 'open', 'opens later', 'is over');
const change = (rules: fc.Arbitrary<Partial<ModelRules>>) =>
  fc.record({ do: fc.constant('change' as const), client, event, change: rules });
const changes = [
  change(fc.record({ limit: quantity })),
  change(fc.record({ perBuyer: fc.option(fc.integer({ min: 1, max: 2 * quantityMax }), { nil: null }) })),
  change(fc.record({ holdSeconds: fc.constantFrom(null, holdSeconds, holdSeconds) })),
  change(fc.record({ window })),
];

/** What can be wished by itself, beside a purchase. */
const kinds: fc.Arbitrary<Wish>[] = [rest, again, retry, reuse, lookUp, act, act, read, ...changes, expiry, expiries, sweep];
/** A page that several people refresh, each through their own replica. */
const readers = event.map((one): Wish[] => Array.from({ length: clientCount }, (_, to) => ({ do: 'read', client: to, event: one })));
/** One purchase with one key, sent again and again before it was answered, through either client. */
const duplicates = fc
  .tuple(keyed, fc.array(client, { minLength: 2, maxLength: 6 }))
  .map(([bought, clients]): Wish[] => clients.map((to) => ({ ...bought, client: to })));
/** What becomes of one purchase, when it is confirmed, given back and expires at once. */
const race = fc
  .tuple(nth, fc.array(fc.tuple(fc.oneof(act, act, lookUp), client), { minLength: 2, maxLength: 5 }), fc.boolean())
  .map(([which, wishes, expires]): Wish[] => [
    ...wishes.map(([wish, to]) => ({ ...wish, client: to, nth: which, event: undefined })),
    ...(expires ? [{ do: 'one expires' as const, client: 0, nth: which }] : []),
  ]);
const several = fc.array(fc.oneof(keyless, keyed, rest, again, retry, reuse, act), { minLength: 2, maxLength: 7 });

/** Who comes at once: nobody, so that every command is one operation; buyers; or everybody, the admin and readers too. */
export type Crowd = 'nobody' | 'buyers' | 'everybody';

/**
 * Each history draws some kinds of wishes and does without the others ("swarm testing"): what takes several of one kind in a row
 * would hardly ever come about among all of them.
 */
export function histories(crowd: Crowd) {
  return fc.subarray(kinds, { minLength: 3, maxLength: 10 }).chain((some) => {
    const alone = [keyless, keyed, ...some];
    // All holds of an event expire in one statement, which other statements could see half of.
    const atOnce = fc.array(fc.oneof(...alone.filter((kind) => kind !== expiries)), { minLength: 2, maxLength: 7 });
    const crowds: Record<Crowd, fc.Arbitrary<readonly Wish[]>[]> = {
      nobody: [],
      buyers: [duplicates, several],
      everybody: [duplicates, several, race, atOnce, atOnce],
    };
    const single = alone.map((wish: fc.Arbitrary<Wish>) => wish.map((one): readonly Wish[] => [one]));
    const all = [...single, ...single, readers, ...crowds[crowd]].map((wishes) => wishes.map((wished) => new AtOnce(wished)));
    return fc.commands(all, { maxCommands: 30, size: 'max' });
  });
}

/** Small quotas, so that most histories come to the end of the sale and go on after it. Half of the events sell holds at first, some are not open. */
const eventOnSale = fc.record({
  quota: fc.integer({ min: 1, max: 16 }),
  holdSeconds: fc.constantFrom(null, holdSeconds),
  perBuyer: fc.constantFrom(null, null, 4, 7),
  window: fc.oneof({ weight: 3, arbitrary: fc.constant('none' as const) }, { weight: 1, arbitrary: window }),
});
export const eventsOnSale = fc.tuple(eventOnSale, eventOnSale);
