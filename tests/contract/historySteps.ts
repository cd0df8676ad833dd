/** The random histories of an event: its rules, and what its buyers, its seller, its operator and the time do. */
import fc from 'fast-check';
import type { RuleValues } from '../../src/sale/types.js';

const buyers = ['ann', 'bob', 'eve'];
/** Which of the requests to buy is meant, counted round and round: of those that were granted, or from here on of all of them. */
export const nthOfAllMin = 30;
const nth = fc.nat({ max: 35 });
const asBuyer = fc.option(fc.constantFrom(...buyers), { freq: 4, nil: undefined });

const buying = fc.record({
  do: fc.constant('buy' as const),
  quantity: fc.integer({ min: 1, max: 5 }),
  key: fc.option(fc.constantFrom('a', 'b', 'c', 'd'), { nil: undefined }),
  buyer: fc.option(fc.constantFrom(...buyers), { freq: 4, nil: null }),
  reference: fc.option(fc.constantFrom('order 1', 'order 2'), { freq: 4, nil: null }),
  /** Whether the buyer has proven who he is. */
  isKnown: fc.boolean(),
});
const givingBack = fc.record({ do: fc.constantFrom('release' as const, 'cancel' as const), nth, asBuyer });
/** Sent at once to one event. */
const crowd = fc.array(fc.oneof({ weight: 4, arbitrary: buying }, { weight: 1, arbitrary: givingBack }), { minLength: 1, maxLength: 7 });

const hours = (from: number) => new Date(Math.round(Date.now() / 1_000) * 1_000 + from * 3_600_000);
/** Windows by where in them the test runs. */
export const windows: Readonly<Record<string, Pick<RuleValues, 'saleStartsAt' | 'saleEndsAt'>>> = {
  open: { saleStartsAt: hours(-1), saleEndsAt: hours(1) },
  unlimited: { saleStartsAt: null, saleEndsAt: null },
  scheduled: { saleStartsAt: hours(1), saleEndsAt: null },
  ended: { saleStartsAt: null, saleEndsAt: hours(-1) },
};

const maxPurchaseLimit = fc.integer({ min: 1, max: 5 });
const maxPerBuyer = fc.option(fc.integer({ min: 1, max: 9 }), { freq: 2, nil: null });
const holdSeconds = fc.option(fc.constantFrom(600, 900), { freq: 6, nil: null });
const window = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom('open', 'unlimited') },
  { weight: 1, arbitrary: fc.constantFrom('scheduled', 'ended') },
);

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('at once' as const), wishes: crowd }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('confirm' as const), nths: fc.array(nth, { minLength: 1, maxLength: 4 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('expire' as const), nths: fc.array(nth, { minLength: 1, maxLength: 8 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('window' as const), window }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('rules' as const),
      rules: fc.record({ maxPurchaseLimit, maxPerBuyer, holdSeconds }, { requiredKeys: [] }),
    }),
  },
);
export const history = fc.record({
  quota: fc.integer({ min: 5, max: 25 }),
  rules: fc.record({ maxPurchaseLimit, maxPerBuyer, holdSeconds }),
  steps: fc.array(step, { minLength: 3, maxLength: 9, size: 'max' }),
});

type Of<A> = A extends fc.Arbitrary<infer T> ? T : never;
export type Step = Of<typeof step>;
export type Wish = Of<typeof crowd>[number];

const nobody = { buyer: null, reference: null, isKnown: false, key: undefined };
const buy = (quantity: number, named: Partial<Wish & { do: 'buy' }> = {}): Wish => ({ do: 'buy', quantity, ...nobody, ...named });
const back = (kind: 'release' | 'cancel', which: number, as?: string): Wish => ({ do: kind, nth: which, asBuyer: as });
const atOnce = (...wishes: Wish[]): Step => ({ do: 'at once', wishes });

/** A history in which every outcome occurs. Its purchases are, by number: held, released, expired, confirmed, cancelled. */
export const everyOutcome: Of<typeof history> = {
  quota: 12,
  rules: { maxPurchaseLimit: 5, maxPerBuyer: 5, holdSeconds: 600 },
  steps: [
    atOnce(
      buy(2, { buyer: 'ann', key: 'a', isKnown: true }),
      buy(2, { buyer: 'bob', key: 'b' }),
      buy(2, { buyer: 'eve', key: 'c' }),
      buy(2, { buyer: 'eve', key: 'd' }),
      buy(2, { buyer: 'bob' }),
    ),
    atOnce(back('release', 1), back('cancel', 4, 'bob'), buy(4, { buyer: 'ann' }), buy(1), buy(6), buy(1, { key: 'a' })),
    { do: 'expire', nths: [2] },
    { do: 'confirm', nths: [3, 1, 2, 4, nthOfAllMin + 5] },
    atOnce(back('release', 3), back('release', 2), back('cancel', 2), back('cancel', 1), back('release', 4), back('release', 0, 'bob')),
    // What became of a purchase is shown to a retry, whatever it is.
    atOnce(...['a', 'b', 'c', 'd'].map((key, index) => buy(2, { key: key as 'a', buyer: ['ann', 'bob', 'eve', 'eve'][index]! }))),
    { do: 'rules', rules: { maxPerBuyer: null } },
    atOnce(buy(5), buy(5), buy(3), buy(2), buy(1)),
    { do: 'window', window: 'ended' },
    atOnce(buy(1), buy(2, { buyer: 'ann', key: 'a' })),
    { do: 'window', window: 'scheduled' },
    atOnce(buy(1)),
  ],
};

/** A history in which requests get what expired holds held: their own buyer's, and anybody's when nothing else is left. */
export const expiredHolds: Of<typeof history> = {
  quota: 6,
  rules: { maxPurchaseLimit: 5, maxPerBuyer: 3, holdSeconds: 600 },
  steps: [
    atOnce(buy(3, { buyer: 'ann' }), buy(2, { buyer: 'eve', key: 'a' })),
    { do: 'expire', nths: [0] },
    atOnce(buy(1, { buyer: 'ann' })), // there is one left, but her total has room only without her expired hold
    { do: 'expire', nths: [1] },
    atOnce(buy(3, { buyer: 'bob' })),
    atOnce(buy(2, { buyer: 'kim' })),
    atOnce(buy(1, { buyer: 'kim' })),
    atOnce(buy(2, { buyer: 'eve', key: 'a' }), back('release', 1)),
    { do: 'expire', nths: [2, 4] },
    atOnce(buy(4, { buyer: 'ann' }), buy(3, { buyer: 'ann' })),
  ],
};

/** A history in which a buyer's second request at once is refused by what the buyer had before. */
export const twiceAtOnce: Of<typeof history> = {
  quota: 12,
  rules: { maxPurchaseLimit: 5, maxPerBuyer: 4, holdSeconds: null },
  steps: [
    atOnce(buy(1, { buyer: 'ann' })),
    atOnce(buy(3, { buyer: 'ann' }), buy(3, { buyer: 'ann' }), buy(2, { buyer: 'bob' })),
    atOnce(back('cancel', 0), buy(1, { buyer: 'ann' }), buy(2, { buyer: 'bob' })),
  ],
};
