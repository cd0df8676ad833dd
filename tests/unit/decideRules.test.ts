/**
 * Goal: the rules of an event bind every request, in the documented order, whatever else is in its batch.
 * Method: an example for each rule; every pair of refusals that one request can earn at once; and random batches, whose
 * buyers are counted by the test.
 */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decide } from '../../src/sale/decide.js';
import type { EventRequest, EventState, PurchaseRequest, Rules } from '../../src/sale/types.js';
import { ask, askAs, bought, event, kinds, release } from './deciding.js';

const start = new Date('2030-01-01T00:00:00Z');

describe('a sale window', () => {
  const scheduled = (available: number) => event(available, { phase: 'scheduled', saleStartsAt: start, startsInSeconds: 90 });

  test('refuses everybody before its start, and says when that is and how far away', () => {
    const refusal = { kind: 'sale-not-started', saleStartsAt: start, startsInSeconds: 90 };
    expect(decide(scheduled(9), [], [ask(1), ask(2, 'key')])).toEqual([refusal, refusal]);
  });

  test('refuses everybody after its end', () => {
    expect(decide(event(9, { phase: 'ended', saleEndsAt: start }), [], [ask(1), ask(2)])).toEqual([
      { kind: 'sale-ended' },
      { kind: 'sale-ended' },
    ]);
  });

  test.each(['scheduled', 'ended'] as const)('gives a key its purchase again, and takes a purchase back, while the sale is %s', (phase) => {
    const [kept, given] = [bought(ask(1, 'key')), bought(ask(2), 'held')];
    const decisions = decide(event(9, { phase, saleStartsAt: start }), [kept, given], [ask(1, 'key'), release(given)]);
    expect(kinds(decisions)).toEqual(['recall', 'give back']);
  });
});

describe('a limit for each buyer', () => {
  const limited = (totals: Record<string, number>, available = 20) => event(available, { maxPerBuyer: 4, totals });

  test('refuses what would exceed it and says what remains; a smaller request may still be granted', () => {
    expect(decide(limited({ ann: 3 }), [], [askAs('ann', 2), askAs('ann', 1), askAs('ann', 1)])).toEqual([
      { kind: 'buyer-limit-exceeded', remaining: 1 },
      { kind: 'grant' },
      { kind: 'buyer-limit-exceeded', remaining: 0 },
    ]);
  });

  test('counts two requests of one buyer in one batch together, and each buyer alone', () => {
    const batch = [askAs('ann', 3), askAs('bob', 3), askAs('ann', 3), askAs('bob', 1)];
    expect(kinds(decide(limited({}), [], batch))).toEqual(['grant', 'grant', 'buyer-limit-exceeded', 'grant']);
  });

  test('counts a repeated key once', () => {
    const batch = [askAs('ann', 3, 'key'), askAs('ann', 3, 'key'), askAs('ann', 1)];
    expect(kinds(decide(limited({}), [], batch))).toEqual(['grant', 'repeat', 'grant']);
  });

  test('that was lowered below what a buyer has leaves nothing, never less', () => {
    expect(decide(limited({ ann: 9 }), [], [askAs('ann', 1)])).toEqual([{ kind: 'buyer-limit-exceeded', remaining: 0 }]);
  });

  test('needs a buyer; without it nobody needs to be named', () => {
    expect(kinds(decide(limited({}), [], [ask(1), askAs('ann', 1)]))).toEqual(['buyer-required', 'grant']);
    expect(kinds(decide(event(9, { totals: { ann: 1_000 } }), [], [ask(1), askAs('ann', 1)]))).toEqual(['grant', 'grant']);
  });

  test('takes nothing from what is available when it refuses', () => {
    expect(kinds(decide(limited({ ann: 4 }, 2), [], [askAs('ann', 1), askAs('bob', 2)]))).toEqual(['buyer-limit-exceeded', 'grant']);
  });
});

describe('a hold', () => {
  test('is granted as a purchase is, and counts as held for those who come too late', () => {
    const decisions = decide(event(3, { holdSeconds: 60, held: 5 }), [], [ask(2), ask(2), ask(1), ask(1)]);
    expect(decisions).toEqual([
      { kind: 'grant' },
      { kind: 'insufficient-availability', available: 1, held: 7 },
      { kind: 'grant' },
      { kind: 'sold-out', held: 8 },
    ]);
  });

  test('is what may come back; a purchase that is confirmed at once is not', () => {
    expect(decide(event(1, { held: 5 }), [], [ask(1), ask(1)])).toEqual([{ kind: 'grant' }, { kind: 'sold-out', held: 5 }]);
  });
});

/** What is different about an event. */
interface Change extends Partial<Omit<EventState, 'rules'>> {
  readonly rules?: Partial<Rules>;
}

describe('of several reasons to refuse a request, the first of the contract is given', () => {
  /** In their order; each changes the event or the request so that its refusal is earned, and leaves the others as they are. */
  const reasons: readonly (readonly [kind: string, event: Change, request: Partial<PurchaseRequest>])[] = [
    ['purchase-limit-exceeded', { rules: { maxPurchaseLimit: 2 } }, { quantity: 3 }],
    ['buyer-required', { rules: { maxPerBuyer: 1_000 } }, { buyerId: null }],
    ['sale-ended', { phase: 'ended' }, {}],
    ['sale-not-started', { phase: 'scheduled', rules: { saleStartsAt: start } }, {}],
    ['sold-out', { available: 0 }, {}],
    ['insufficient-availability', { available: 1 }, {}],
    ['buyer-limit-exceeded', { rules: { maxPerBuyer: 4 } }, {}],
  ];
  const decided = (...given: typeof reasons) => {
    const plain = event(9, { totals: { ann: 4 } });
    let [state, request] = [plain, askAs('ann', 2)];
    for (const [, { rules, ...change }, named] of given.toReversed()) {
      state = { ...state, ...change, rules: { ...state.rules, ...rules } };
      request = { ...request, ...named };
    }
    return decide(state, [], [request]).map(({ kind }) => kind);
  };
  /** They exclude each other: a sale has one phase, an event one number of tickets, and nobody has no total. */
  const impossible = [
    ['sale-ended', 'sale-not-started'],
    ['sold-out', 'insufficient-availability'],
    ['buyer-required', 'buyer-limit-exceeded'],
  ];

  test.each(reasons)('%s alone', (...reason) => {
    expect(decided(reason)).toEqual([reason[0]]);
  });

  const pairs = reasons.flatMap((first, index) => reasons.slice(index + 1).map((second) => [first, second] as const));
  const possible = pairs.filter(([[first], [second]]) => !impossible.some(([one, other]) => one === first && other === second));
  test.each(possible.map(([first, second]) => [first[0], second[0], first, second] as const))('%s before %s', (kind, _second, ...both) => {
    expect(decided(...both)).toEqual([kind]);
  });

  test('a known key comes before all of them', () => {
    const existing = [bought(ask(3, 'key'))];
    for (const [, { rules, ...change }] of reasons) {
      const state = { ...event(9), ...change, rules: { ...event(9).rules, ...rules } };
      expect(kinds(decide(state, existing, [ask(3, 'key'), ask(2, 'key')]))).toEqual(['recall', 'idempotency-key-reused']);
    }
  });
});

test('whatever is bought and given back, no buyer has more than the limit at any moment, and no ticket is given twice', () => {
  const buyers = ['ann', 'bob', undefined] as const;
  const step = fc.record({
    quantity: fc.integer({ min: 1, max: 5 }),
    buyer: fc.constantFrom(...buyers),
    back: fc.option(fc.nat({ max: 5 }), { freq: 3, nil: undefined }),
  });
  const held = fc.array(fc.record({ quantity: fc.integer({ min: 1, max: 4 }), buyer: fc.constantFrom('ann', 'bob') }), { maxLength: 6 });
  const most = 6;
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 12 }), held, fc.array(step, { maxLength: 30 }), (available, holds, steps) => {
      const existing = holds.map(({ quantity, buyer }) => bought(askAs(buyer, quantity), 'held'));
      const totals: Record<string, number> = {};
      for (const { purchase } of existing) totals[purchase.buyerId!] = (totals[purchase.buyerId!] ?? 0) + purchase.quantity;
      const batch = steps.map(({ quantity, buyer, back }): EventRequest => {
        const hold = back === undefined ? undefined : existing[back];
        return hold ? release(hold) : ask(quantity, undefined, { buyerId: buyer ?? null });
      });
      const decisions = decide(event(available, { maxPerBuyer: most, totals }), existing, batch);
      let left = available;
      const returned = new Set<string>();
      batch.forEach((request, index) => {
        const decision = decisions[index]!;
        if (decision.kind === 'give back') {
          const { id, quantity, buyerId } = decision.purchase;
          expect(returned.has(id)).toBe(false);
          returned.add(id);
          left += quantity;
          totals[buyerId!]! -= quantity;
        }
        if (request.kind !== 'buy') return;
        const total = totals[request.buyerId ?? ''] ?? 0;
        if (decision.kind === 'grant') {
          left -= request.quantity;
          totals[request.buyerId!] = total + request.quantity;
          expect(left).toBeGreaterThanOrEqual(0);
          expect(totals[request.buyerId!]).toBeLessThanOrEqual(most);
        }
        if (decision.kind === 'buyer-limit-exceeded') expect(decision.remaining).toBe(Math.max(0, most - total));
        if (decision.kind === 'buyer-limit-exceeded') expect(total + request.quantity).toBeGreaterThan(most);
        if (decision.kind === 'insufficient-availability') expect(decision.available).toBe(left);
        if (decision.kind === 'sold-out') expect(left).toBe(0);
        if (decision.kind === 'buyer-required') expect(request.buyerId).toBeNull();
      });
    }),
  );
});
