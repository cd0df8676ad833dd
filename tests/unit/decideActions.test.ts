/**
 * Goal: a purchase is given back at most once, to whom it may be given back, and everybody learns what became of it.
 * Method: the complete table of actions and statuses; then batches in which purchases are bought and given back together.
 */
import { describe, expect, test } from '@jest/globals';
import { decide, decideConfirmation, type Decision } from '../../src/sale/decide.js';
import type { PurchaseStatus } from '../../src/sale/types.js';
import { as, ask, askAs, bought, cancel, event, giveBack, kinds, release } from './deciding.js';

const statuses: readonly PurchaseStatus[] = ['held', 'confirmed', 'released', 'expired', 'cancelled'];

/** What each action answers to a purchase in each status: the status that it has afterwards, or the refusal. */
const table: Readonly<Record<PurchaseStatus, Readonly<Record<'confirm' | 'release' | 'cancel', string>>>> = {
  held: { confirm: 'by the statement', release: 'gives back → released', cancel: 'gives back → cancelled' },
  confirmed: { confirm: 'confirmed', release: 'purchase-confirmed', cancel: 'gives back → cancelled' },
  released: { confirm: 'hold-released', release: 'released', cancel: 'hold-released' },
  expired: { confirm: 'hold-expired', release: 'expired', cancel: 'hold-expired' },
  cancelled: { confirm: 'purchase-cancelled', release: 'purchase-cancelled', cancel: 'cancelled' },
};

describe.each(statuses)('a purchase that is %s', (status) => {
  const existing = bought(ask(2), status);

  test.each(['release', 'cancel'] as const)('%s', (kind) => {
    const [decision] = decide(event(0), [existing], [giveBack(kind, existing)]);
    const answers: Partial<Record<Decision['kind'], string>> = {
      'give back': `gives back → ${decision?.kind === 'give back' ? decision.purchase.status : ''}`,
      unchanged: decision?.kind === 'unchanged' ? decision.purchase.status : '',
    };
    expect(answers[decision!.kind] ?? decision!.kind).toBe(table[status][kind]);
    if (decision?.kind === 'unchanged') expect(decision.purchase).toEqual(existing.purchase);
  });

  test('confirm', () => {
    const answer = table[status].confirm;
    const judge = () => decideConfirmation(existing.purchase);
    // The statement that confirms leaves no hold as it is: it confirms it, or it has expired.
    if (status === 'held') expect(judge).toThrow('neither confirmed nor expired');
    else if (status === 'confirmed') expect(judge()).toEqual({ kind: 'settled', purchase: existing.purchase });
    else expect(judge()).toEqual({ kind: answer });
  });
});

describe('what is given back', () => {
  const hold = bought(askAs('ann', 3), 'held');
  const sale = bought(askAs('ann', 2));

  test('is available to the requests after it, not to those before it', () => {
    const batch = [ask(3), release(hold), ask(3), ask(1)];
    expect(decide(event(0, { held: 3 }), [hold], batch)).toEqual([
      { kind: 'sold-out', held: 3 },
      { kind: 'give back', purchase: as(hold, 'released') },
      { kind: 'grant' },
      { kind: 'sold-out', held: 0 },
    ]);
  });

  test('from a confirmed purchase never counted as held', () => {
    expect(decide(event(0, { held: 3 }), [sale], [cancel(sale), ask(3)])).toMatchObject([
      { kind: 'give back' },
      { kind: 'insufficient-availability', available: 2, held: 3 },
    ]);
  });

  test("counts towards its buyer's limit no more", () => {
    const batch = [askAs('ann', 1), release(hold), askAs('ann', 3), askAs('ann', 1), cancel(sale), askAs('ann', 2)];
    expect(kinds(decide(event(9, { maxPerBuyer: 5, totals: { ann: 5 } }), [hold, sale], batch))).toEqual([
      'buyer-limit-exceeded',
      'give back',
      'grant',
      'buyer-limit-exceeded',
      'give back',
      'grant',
    ]);
  });

  test.each([
    ['released twice', release, release, { kind: 'unchanged', purchase: as(hold, 'released') }],
    ['cancelled twice', cancel, cancel, { kind: 'unchanged', purchase: as(hold, 'cancelled') }],
    ['released, then cancelled', release, cancel, { kind: 'hold-released' }],
    ['cancelled, then released', cancel, release, { kind: 'purchase-cancelled' }],
  ])('is given back once by a batch in which it is %s', (_name, first, second, answer) => {
    const decisions = decide(event(0), [hold], [first(hold), second(hold), ask(4)]);
    expect(decisions).toEqual([expect.objectContaining({ kind: 'give back' }), answer, expect.objectContaining({ available: 3 })]);
  });

  test('is nothing if the hold has expired: what it held was made available when it was locked', () => {
    const due = bought(ask(3), 'expired');
    expect(decide(event(3), [due], [release(due), ask(4), ask(3)])).toEqual([
      { kind: 'unchanged', purchase: due.purchase },
      { kind: 'insufficient-availability', available: 3, held: 0 },
      { kind: 'grant' },
    ]);
  });
});

describe('a replay', () => {
  const first = ask(2, 'key');
  const hold = bought(first, 'held');

  test('shows a purchase as the requests before it in the batch have left it', () => {
    const batch = [ask(2, 'key'), release(hold), ask(2, 'key'), first];
    expect(decide(event(0), [hold], batch)).toEqual([
      { kind: 'recall', purchase: hold.purchase, own: false },
      { kind: 'give back', purchase: as(hold, 'released') },
      { kind: 'recall', purchase: as(hold, 'released'), own: false },
      { kind: 'recall', purchase: as(hold, 'released'), own: true },
    ]);
  });

  test.each(statuses)('gets a purchase that is %s as it is, and takes nothing', (status) => {
    const existing = bought(ask(2, 'key'), status);
    expect(decide(event(1, { maxPerBuyer: null }), [existing], [ask(2, 'key'), ask(1)])).toEqual([
      { kind: 'recall', purchase: existing.purchase, own: false },
      { kind: 'grant' },
    ]);
  });
});

describe('a purchase of another buyer', () => {
  const ofAnn = bought(askAs('ann', 2, 'key'), 'held');
  const ofNobody = bought(ask(2, 'another key'), 'held');

  test('does not exist for a buyer who is known, whether he releases it or sends its key', () => {
    const replay = ask(2, 'key', { buyerId: 'bob', asBuyer: 'bob' });
    const reuse = ask(1, 'key', { buyerId: 'bob', asBuyer: 'bob' });
    expect(decide(event(9), [ofAnn], [release(ofAnn, 'bob'), replay, reuse])).toEqual(
      Array.from({ length: 3 }, () => ({ kind: 'purchase-not-found' })),
    );
  });

  test('exists for its buyer, and for those who may act for anybody', () => {
    expect(kinds(decide(event(9), [ofAnn], [release(ofAnn, 'ann')]))).toEqual(['give back']);
    expect(kinds(decide(event(9), [ofAnn], [release(ofAnn)]))).toEqual(['give back']);
    expect(kinds(decide(event(9), [ofAnn], [ask(2, 'key', { buyerId: 'ann', asBuyer: 'ann' })]))).toEqual(['recall']);
  });

  test('is also one that names nobody: it belongs to the seller', () => {
    const replay = ask(2, 'another key', { buyerId: 'bob', asBuyer: 'bob' });
    expect(kinds(decide(event(9), [ofNobody], [replay, release(ofNobody, 'bob')]))).toEqual(['purchase-not-found', 'purchase-not-found']);
    expect(kinds(decide(event(9), [ofNobody], [release(ofNobody)]))).toEqual(['give back']);
  });

  test('is hidden also while it is only granted in the same batch', () => {
    const batch = [
      ask(2, 'new key', { buyerId: 'ann', asBuyer: 'ann' }),
      ask(2, 'new key', { buyerId: 'bob', asBuyer: 'bob' }),
      ask(2, 'new key', { buyerId: 'ann', asBuyer: 'ann' }),
    ];
    expect(kinds(decide(event(9), [], batch))).toEqual(['grant', 'purchase-not-found', 'repeat']);
  });
});

test('what nobody has bought cannot be given back', () => {
  const unknown = bought(ask(1), 'held');
  expect(kinds(decide(event(9), [], [release(unknown), cancel(unknown)]))).toEqual(['purchase-not-found', 'purchase-not-found']);
});
