/**
 * Goal: the division of what is available keeps its rules for every batch that there can be.
 * Method: examples for each rule, then properties over random batches with few keys, so that keys repeat.
 */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decide, type Decision } from '../../src/sale/decide.js';
import type { PurchaseRequest } from '../../src/sale/types.js';
import { ask, bought, event, kinds } from './deciding.js';

describe('what is available', () => {
  test('is given in order of arrival until it is gone', () => {
    expect(kinds(decide(event(3), [], [ask(1), ask(2), ask(1)]))).toEqual(['grant', 'grant', 'sold-out']);
  });

  test('serves a smaller request behind a larger one that did not fit', () => {
    const decisions = decide(event(3), [], [ask(2), ask(2), ask(1)]);
    expect(decisions).toEqual([{ kind: 'grant' }, { kind: 'insufficient-availability', available: 1, held: 0 }, { kind: 'grant' }]);
  });

  test('is not touched by a request over the limit, which is refused for the limit even when nothing is left', () => {
    const refusal = { kind: 'purchase-limit-exceeded', maxPurchaseLimit: 4 };
    expect(decide(event(4, { maxPurchaseLimit: 4 }), [], [ask(5), ask(4), ask(5)])).toEqual([refusal, { kind: 'grant' }, refusal]);
  });
});

describe('a key', () => {
  test('gives its purchase again after the event has sold out and its limit was lowered', () => {
    const first = ask(4, 'key');
    const decisions = decide(event(0, { maxPurchaseLimit: 1 }), [bought(first)], [ask(4, 'key')]);
    expect(decisions).toEqual([{ kind: 'recall', purchase: bought(first).purchase, own: false }]);
  });

  test('is refused for another body, and the refused request costs nothing', () => {
    const decisions = decide(event(2), [bought(ask(1, 'key'))], [ask(2, 'key'), ask(2)]);
    expect(kinds(decisions)).toEqual(['idempotency-key-reused', 'grant']);
  });

  test('sent twice in one batch is granted once', () => {
    expect(decide(event(10), [], [ask(2, 'key'), ask(1), ask(2, 'key'), ask(3, 'key')])).toEqual([
      { kind: 'grant' },
      { kind: 'grant' },
      { kind: 'repeat', of: 0 },
      { kind: 'idempotency-key-reused' },
    ]);
  });

  test('that was refused is free: a later request in the same batch may use it', () => {
    expect(kinds(decide(event(1), [], [ask(2, 'key'), ask(1, 'key')]))).toEqual(['insufficient-availability', 'grant']);
  });
});

test('a repeated attempt returns its own existing purchases and grants nothing twice', () => {
  const first = ask(2, 'key');
  const second = ask(1);
  const decisions = decide(event(0), [bought(first), bought(second)], [first, second, ask(2, 'key'), ask(1)]);
  expect(decisions).toMatchObject([
    { kind: 'recall', own: true },
    { kind: 'recall', own: true },
    { kind: 'recall', own: false },
    { kind: 'sold-out' },
  ]);
});

const requests = fc.array(
  fc.record({ quantity: fc.integer({ min: 1, max: 6 }), key: fc.option(fc.constantFrom('a', 'b', 'c'), { nil: undefined }) }),
  { maxLength: 40 },
);

/** The granted quantity, and what was left as each request was decided. */
function replayGrants(available: number, batch: readonly PurchaseRequest[], decisions: readonly Decision[]): number[] {
  let left = available;
  return batch.map((request, index) => {
    const before = left;
    if (decisions[index]?.kind === 'grant') left -= request.quantity;
    return before;
  });
}

test('never grants more than is available, and refuses nobody for whom there was enough', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 1, max: 6 }), requests, (available, limit, asked) => {
      const batch = asked.map(({ quantity, key }) => ask(quantity, key));
      const decisions = decide(event(available, { maxPurchaseLimit: limit }), [], batch);
      const leftBefore = replayGrants(available, batch, decisions);
      batch.forEach(({ quantity }, index) => {
        const left = leftBefore[index]!;
        const decision = decisions[index]!;
        if (decision.kind === 'grant') expect(quantity).toBeLessThanOrEqual(Math.min(left, limit));
        if (decision.kind === 'sold-out') expect(left).toBe(0);
        if (decision.kind === 'insufficient-availability') {
          expect(decision.available).toBe(left);
          expect(quantity).toBeGreaterThan(left);
        }
        if (decision.kind === 'purchase-limit-exceeded') expect(quantity).toBeGreaterThan(limit);
      });
    }),
  );
});

test('grants each key once, and answers its other requests by that grant', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 30 }), requests, (available, asked) => {
      const batch = asked.map(({ quantity, key }) => ask(quantity, key));
      const decisions = decide(event(available), [], batch);
      const granted = new Map<string, number>();
      batch.forEach(({ idempotency }, index) => {
        if (!idempotency) return;
        const decision = decisions[index]!;
        const of = granted.get(idempotency.key);
        if (of === undefined) {
          expect(decision.kind).not.toBe('repeat');
          if (decision.kind === 'grant') granted.set(idempotency.key, index);
        } else if (batch[of]?.idempotency?.fingerprint === idempotency.fingerprint) {
          expect(decision).toEqual({ kind: 'repeat', of });
        } else {
          expect(decision.kind).toBe('idempotency-key-reused');
        }
      });
    }),
  );
});
