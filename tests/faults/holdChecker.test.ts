/**
 * Goal: the checker of holds finds each contradiction that it is there for, and finds none where there is none.
 * Method: a small true history, and one lie at a time.
 */
import { expect, test } from '@jest/globals';
import { checkHolds } from './holdChecker.js';
import type { BookedHold, HoldLedger } from './holdLedger.js';
import type { Action, Reply, Status, Try } from './transitions.js';

const eventId = 'the-event';
const holdMs = 1_000;

const ticketsOf = (key: string, quantity: number) => Array.from({ length: quantity }, (_, index) => `${key}-${String(index)}`);
const hasTickets = (status: Status) => status === 'confirmed' || status === 'cancelled';

/** Of two tickets each, unless said otherwise; the purchase of key `a` has the id `id of a`. */
const shows = (key: string, status: Status, quantity = 2, ticketIds = hasTickets(status) ? ticketsOf(key, quantity) : []): Reply => ({
  kind: 'purchase',
  purchase: { id: `id of ${key}`, quantity, status, buyerId: 'ann', ticketIds },
});
const refused = (code: string): Reply => ({ kind: 'refused', code });
const unknown: Reply = { kind: 'unknown', why: 'the connection was lost' };
const notBegun: Reply = { kind: 'not begun', why: 'overloaded' };

/** Called at `at`, answered one millisecond later. */
const tried = (key: string, action: Action, at: number, answer: Reply, quantity = 2, buyerId = 'ann'): Try => ({
  eventId,
  key,
  quantity,
  buyerId,
  action,
  calledAtMs: at,
  returnedAtMs: at + 1,
  answer,
});

/** Held at 0, so that it expires at 1000; `isOver` as if it were 2000. */
const row = (key: string, status: Status, more: Partial<BookedHold> = {}): BookedHold => ({
  eventId,
  id: `id of ${key}`,
  key,
  quantity: 2,
  status,
  buyerId: 'ann',
  isOver: true,
  expiresAtMs: holdMs,
  ticketIds: hasTickets(status) ? ticketsOf(key, 2) : [],
  ...more,
});

function ledger(purchases: readonly BookedHold[], changed: Partial<HoldLedger['events'][number]> = {}): HoldLedger {
  const taking = purchases.filter(({ status }) => status === 'held' || status === 'confirmed');
  const available = 10 - taking.reduce((sum, { quantity }) => sum + quantity, 0);
  const totals = new Map<string, number>();
  for (const { buyerId, quantity } of taking) totals.set(buyerId ?? '', (totals.get(buyerId ?? '') ?? 0) + quantity);
  return {
    events: [{ id: eventId, quota: 10, available, maxPerBuyer: 8, ...changed }],
    purchases,
    totals: [...totals].map(([buyerId, quantity]) => ({ eventId, buyerId, quantity })),
  };
}

const verdict = (tries: readonly Try[], books: HoldLedger, resolved = false) => [
  ...new Set(checkHolds(tries, books, { resolved }).map(({ harm, rule }) => `${harm}: ${rule}`)),
];

const held = (key: string, at = 0) => tried(key, 'hold', at, shows(key, 'held'));
const confirmed = (key: string, at = 10) => tried(key, 'confirm', at, shows(key, 'confirmed'));
const released = (key: string, at = 10) => tried(key, 'release', at, shows(key, 'released'));
const expired = (key: string, at = 1_500) => tried(key, 'confirm', at, refused('hold-expired'));

test('a true history is not objected to', () => {
  const tries = [
    ...[held('a'), tried('a', 'confirm', 5, unknown), confirmed('a'), tried('a', 'cancel', 20, shows('a', 'cancelled'))],
    ...[held('b'), released('b'), tried('b', 'confirm', 20, refused('hold-released')), released('b', 30)],
    ...[held('c'), expired('c'), tried('c', 'release', 1_600, shows('c', 'expired')), tried('c', 'hold', 1_700, shows('c', 'expired'))],
    ...[held('d'), confirmed('d'), confirmed('d', 20), tried('d', 'release', 30, refused('purchase-confirmed'))],
    ...[tried('e', 'hold', 0, unknown), tried('e', 'hold', 5, refused('insufficient-availability'), 9)],
  ];
  const rows = [row('a', 'cancelled'), row('b', 'released'), row('c', 'expired'), row('d', 'confirmed')];
  expect(verdict(tries, ledger(rows), true)).toEqual([]);
});

test('what is unknown may have happened or not, and must not stay unknown', () => {
  const tries = [held('a'), tried('a', 'confirm', 5, unknown)];
  expect(verdict(tries, ledger([row('a', 'confirmed')]))).toEqual([]);
  expect(verdict(tries, ledger([row('a', 'held')]))).toEqual([]);
  expect(verdict(tries, ledger([row('a', 'held')]), true)).toEqual(['unresolved: a confirm has no answer after all retries']);
  expect(verdict([...tries, expired('a')], ledger([row('a', 'held')]), true)).toEqual([]);
});

test('a purchase that was acknowledged and is not there is lost, and one that is denied too', () => {
  expect(verdict([held('a')], ledger([]))).toEqual(['lost: a purchase that was acknowledged is not there']);
  expect(verdict([held('a'), tried('a', 'confirm', 5, refused('purchase-not-found'))], ledger([row('a', 'held')]))).toEqual([
    'lost: a purchase that was acknowledged was denied',
  ]);
});

test('a transition that was acknowledged and is not in the row is lost', () => {
  const rule = 'lost: a transition that was acknowledged is not in the row';
  const confirmation = 'lost: a confirmation that was acknowledged is not in the row';
  expect(verdict([held('a'), released('a')], ledger([row('a', 'held', { isOver: false })]))).toContain(rule);
  expect(verdict([held('a'), tried('a', 'cancel', 5, shows('a', 'cancelled', 2, []))], ledger([row('a', 'expired')]))).toContain(rule);
  expect(verdict([held('a'), confirmed('a')], ledger([row('a', 'held', { isOver: false })]))).toContain(rule);
  expect(verdict([held('a'), confirmed('a')], ledger([row('a', 'expired')]))).toContain(confirmation);
  expect(verdict([held('a'), confirmed('a'), tried('a', 'release', 20, unknown)], ledger([row('a', 'released')]))).toContain(confirmation);
});

test('what was refused as expired, released or cancelled is never confirmed', () => {
  for (const code of ['hold-expired', 'hold-released', 'purchase-cancelled']) {
    const found = verdict([held('a'), tried('a', 'confirm', 5, refused(code)), confirmed('a', 10)], ledger([row('a', 'confirmed')]));
    expect(found).toContain('untrue: a status that was final was not');
    expect(found).toContain('lost: a transition that was acknowledged is not in the row');
  }
  // Also if the two calls overlapped, so that neither was first.
  const overlapping = [held('a'), { ...expired('a', 5), returnedAtMs: 50 }, { ...confirmed('a', 6), returnedAtMs: 49 }];
  expect(verdict(overlapping, ledger([row('a', 'confirmed')]))).toContain('untrue: a purchase was both confirmed and expired');
});

test('a purchase that was confirmed or given back is never held again, and a cancelled one never confirmed', () => {
  const rule = 'untrue: a status that was final was not';
  expect(verdict([held('a'), confirmed('a'), tried('a', 'look up', 20, shows('a', 'held'))], ledger([row('a', 'confirmed')]))).toEqual([
    rule,
  ]);
  const cancelled = [held('a'), confirmed('a'), tried('a', 'cancel', 20, shows('a', 'cancelled'))];
  expect(verdict([...cancelled, confirmed('a', 30)], ledger([row('a', 'cancelled')]))).toEqual([rule]);
});

test('nothing happens that nobody asked for, or that was answered that it did not begin', () => {
  const nothing = (action: string) => `untrue: a ${action} was answered that it did nothing, or never asked for, and happened`;
  expect(verdict([held('a')], ledger([row('a', 'confirmed')]))).toEqual([nothing('confirm')]);
  expect(verdict([held('a'), tried('a', 'release', 5, notBegun)], ledger([row('a', 'released')]))).toEqual([nothing('release')]);
  expect(verdict([held('a'), released('a')], ledger([row('a', 'cancelled')]))).toContain(nothing('cancel'));
  expect(verdict([tried('a', 'hold', 0, notBegun)], ledger([row('a', 'held')]))).toEqual([nothing('hold')]);
  expect(verdict([held('a')], ledger([row('a', 'expired', { isOver: false })]))).toContain('untrue: a hold expired before its time');
  expect(verdict([], ledger([row('a', 'held')]))).toEqual(['duplicated: a purchase that nobody asked for']);
});

test('one key is one purchase, with one quantity, one buyer and one set of tickets', () => {
  const two = [row('a', 'held'), row('a', 'held', { id: 'another' })];
  expect(verdict([held('a')], ledger(two))).toContain('duplicated: a key has two purchases');
  const another = tried('a', 'hold', 5, shows('b', 'held'));
  expect(verdict([held('a'), another], ledger([row('a', 'held')]))).toEqual(['duplicated: a key was given two different purchases']);
  expect(verdict([tried('a', 'hold', 0, shows('a', 'held', 3))], ledger([row('a', 'held')]))).toEqual([
    'untrue: a purchase was shown with another quantity or buyer',
  ]);
  expect(verdict([held('a')], ledger([row('a', 'held', { buyerId: 'bob' })]))).toContain('untrue: the row is not what was asked for');
  const others = tried('a', 'confirm', 20, shows('a', 'confirmed', 2, ['x', 'y']));
  expect(verdict([held('a'), confirmed('a'), others], ledger([row('a', 'confirmed')]))).toEqual([
    'untrue: a purchase was shown with two sets of tickets',
  ]);
  expect(verdict([held('a'), others], ledger([row('a', 'confirmed')]))).toEqual(['lost: the tickets are not those that were acknowledged']);
});

test('there are tickets for what is confirmed, and for nothing else', () => {
  const rule = 'oversold: the tickets of a purchase do not go with its status';
  const tickets = { ticketIds: ticketsOf('a', 2) };
  expect(verdict([held('a')], ledger([row('a', 'held', tickets)]))).toEqual([rule]);
  expect(verdict([held('a'), released('a')], ledger([row('a', 'released', tickets)]))).toEqual([rule]);
  expect(verdict([held('a'), expired('a')], ledger([row('a', 'expired', tickets)]))).toEqual([rule]);
  expect(verdict([held('a'), tried('a', 'confirm', 5, unknown)], ledger([row('a', 'confirmed', { ticketIds: ['a-0'] })]))).toEqual([rule]);
  const shown = tried('a', 'look up', 5, shows('a', 'held', 2, ['a-0', 'a-1']));
  expect(verdict([held('a'), shown], ledger([row('a', 'held')]))).toContain(
    'untrue: a purchase was shown with tickets that do not go with its status',
  );
});

test('books that do not add up, with what is held, are oversold', () => {
  const rule = 'oversold: available, held and sold do not add up to the quota';
  expect(verdict([held('a')], ledger([row('a', 'held')], { available: 10 }))).toEqual([rule]);
  expect(verdict([held('a'), released('a')], ledger([row('a', 'released')], { available: 8 }))).toEqual([rule]);
  expect(verdict([held('a'), confirmed('a')], ledger([row('a', 'confirmed')], { quota: 1, available: -1 }))).toContain(
    'oversold: more was sold than there is',
  );
});

test('more than there is, or than a buyer may have, is too much even if it was given back later', () => {
  const keys = ['a', 'b', 'c'];
  const together = keys.flatMap((key, index) => [held(key, index * 2), released(key, 20)]);
  const oneByOne = keys.flatMap((key, index) => [held(key, index * 50), released(key, index * 50 + 10)]);
  const rows = keys.map((key) => row(key, 'released'));
  expect(verdict(together, ledger(rows, { maxPerBuyer: 4 }))).toEqual(['oversold: a buyer has more than the event allows']);
  expect(verdict(oneByOne, ledger(rows, { maxPerBuyer: 4 }))).toEqual([]);
  expect(verdict(together, ledger(rows, { quota: 5, available: 5 }))).toEqual(['oversold: at one moment more was taken than there is']);
  expect(verdict(oneByOne, ledger(rows, { quota: 5, available: 5 }))).toEqual([]);
});

test("a buyer's total is what the rows say, and within the limit", () => {
  const books = ledger([row('a', 'held')]);
  expect(verdict([held('a')], { ...books, totals: [] })).toEqual(["untrue: a buyer's total is not what the rows say"]);
  expect(verdict([held('a')], ledger([row('a', 'held')], { maxPerBuyer: 1 }))).toContain(
    'oversold: a buyer has more than the event allows',
  );
  const rows = ledger([row('a', 'released')]);
  const total = { eventId, buyerId: 'ann', quantity: 2 };
  expect(verdict([held('a'), released('a')], { ...rows, totals: [total] })).toEqual(["untrue: a buyer's total is not what the rows say"]);
});

test('a refusal is false if enough was certainly available during the whole call', () => {
  const rule = 'untrue: refused, although it was certainly possible';
  const small = { quota: 3, available: 3 };
  const wish = (at: number, code = 'insufficient-availability') => tried('b', 'hold', at, refused(code));
  expect(verdict([held('a'), released('a'), wish(5)], ledger([row('a', 'released')], small))).toEqual([]);
  expect(verdict([held('a'), released('a'), wish(50)], ledger([row('a', 'released')], small))).toEqual([rule]);
  // A hold that has expired is available at once, swept or not.
  for (const status of ['held', 'expired'] as const) {
    const books = ledger([row('a', status)], { quota: 3, available: status === 'held' ? 1 : 3 });
    expect(verdict([held('a'), wish(900)], books)).toEqual([]);
    expect(verdict([held('a'), wish(1_100)], books)).toEqual([rule]);
  }
  const limited = { maxPerBuyer: 3 };
  expect(verdict([held('a'), released('a'), wish(5, 'buyer-limit-exceeded')], ledger([row('a', 'released')], limited))).toEqual([]);
  expect(verdict([held('a'), released('a'), wish(50, 'buyer-limit-exceeded')], ledger([row('a', 'released')], limited))).toEqual([rule]);
  const ofAnother = [held('a'), tried('b', 'hold', 5, refused('buyer-limit-exceeded'), 2, 'bob')];
  expect(verdict(ofAnother, ledger([row('a', 'held', { isOver: false })], limited))).toEqual([rule]);
});
