/**
 * Goal: hold what was answered about holds against what the database has, and name every contradiction.
 * Method: pure code over the attempts and the ledger. Tickets come back here, so a refusal is false only if enough tickets were
 * certainly available during the whole call; and a status that was shown is true only if it never goes back.
 */
import type { Violation } from './checker.js';
import { type BookedHold, type HoldEvent, type HoldLedger, statusOf } from './holdLedger.js';
import { type Action, type Status, statusIn, type Try } from './transitions.js';

/** Held comes first, and cancelled may follow confirmed; nothing follows the others. */
const rank: Readonly<Record<Status, number>> = { held: 0, confirmed: 1, released: 2, expired: 2, cancelled: 2 };
/** Who brings a status about; nobody expires a hold. */
const causeOf: Readonly<Record<Status, Action | undefined>> = {
  held: 'hold',
  confirmed: 'confirm',
  released: 'release',
  cancelled: 'cancel',
  expired: undefined,
};
/** Between a clock of the database in milliseconds and ours. */
const clockMarginMs = 5;

const violation = (harm: Violation['harm'], rule: string, of: string): Violation => ({ harm, rule, of });
const sum = (list: readonly { readonly quantity: number }[]) => list.reduce((total, { quantity }) => total + quantity, 0);

/** @param resolved whether everything unknown was tried again until it was answered, so that nothing unknown may be left */
export function checkHolds(tries: readonly Try[], ledger: HoldLedger, { resolved }: { resolved: boolean }): Violation[] {
  const byKey = new Map<string, Try[]>();
  for (const one of tries) byKey.set(one.key, [...(byKey.get(one.key) ?? []), one]);
  const rows = new Map<string, BookedHold[]>();
  for (const row of ledger.purchases) rows.set(row.key ?? '', [...(rows.get(row.key ?? '') ?? []), row]);
  const unasked = ledger.purchases.filter(({ key }) => !byKey.has(key ?? ''));
  const purchases = [...byKey].map(([key, own]) => new Course(key, own, rows.get(key) ?? []));
  return [
    ...unasked.map(({ id }) => violation('duplicated', 'a purchase that nobody asked for', id)),
    ...purchases.flatMap((purchase) => purchase.check(resolved)),
    ...ledger.events.flatMap((event) => checkEvent(event, ledger, purchases)),
  ];
}

/** One purchase: all that was asked for with its key, and its row. */
class Course {
  readonly row: BookedHold | undefined;
  readonly eventId: string;
  readonly quantity: number;
  readonly buyerId: string;

  constructor(
    readonly key: string,
    readonly tries: readonly Try[],
    readonly rows: readonly BookedHold[],
  ) {
    this.row = rows[0];
    ({ eventId: this.eventId, quantity: this.quantity, buyerId: this.buyerId } = tries[0]!);
  }

  /** It took tickets from here at the earliest … */
  get mayTakeFromMs(): number {
    return Math.min(...this.tries.map(({ calledAtMs }) => calledAtMs));
  }

  /** … to here at the latest, if it has given them back. */
  get mayTakeToMs(): number {
    if (!this.row) return -Infinity;
    const status = statusOf(this.row);
    if (status === 'held' || status === 'confirmed') return Infinity;
    if (status === 'expired') return (this.row.expiresAtMs ?? Infinity) + clockMarginMs;
    return Math.min(Infinity, ...this.#showing(status).map(({ returnedAtMs }) => returnedAtMs));
  }

  /** It certainly took tickets from here to there. */
  get takes(): Interval {
    const { quantity } = this;
    const fromMs = Math.min(Infinity, ...this.#showing('held', 'confirmed').map(({ returnedAtMs }) => returnedAtMs));
    const status = this.row && statusOf(this.row);
    if (status === 'held' || status === 'confirmed') return { quantity, fromMs, toMs: Infinity };
    const gaveBack = this.tries.filter(({ action }) => action === 'release' || action === 'cancel');
    const ends = gaveBack.map(({ calledAtMs }) => calledAtMs);
    if (status === 'expired') ends.push((this.row?.expiresAtMs ?? -Infinity) - clockMarginMs);
    return { quantity, fromMs, toMs: Math.min(Infinity, ...ends) };
  }

  #showing(...statuses: Status[]): Try[] {
    return this.tries.filter(({ answer }) => statuses.some((status) => statusIn(answer) === status));
  }

  check(resolved: boolean): Violation[] {
    const found: Violation[] = [];
    const tell = (harm: Violation['harm'], rule: string) => found.push(violation(harm, rule, this.key));
    this.#checkIdentity(tell);
    this.#checkCourse(tell);
    if (this.row) this.#checkRow(this.row, tell);
    if (resolved) {
      for (const action of ['hold', 'confirm', 'release', 'cancel'] as const) {
        const own = this.tries.filter((one) => one.action === action);
        const answered = own.filter(({ answer }) => answer.kind === 'purchase' || answer.kind === 'refused');
        const unknown = own.filter(({ answer }) => answer.kind === 'unknown');
        const last = Math.max(-Infinity, ...answered.map(({ returnedAtMs }) => returnedAtMs));
        if (unknown.some(({ calledAtMs }) => calledAtMs > last)) tell('unresolved', `a ${action} has no answer after all retries`);
      }
    }
    return found;
  }

  #checkIdentity(tell: Tell): void {
    const shown = this.tries.flatMap(({ answer }) => (answer.kind === 'purchase' ? [answer.purchase] : []));
    if (this.rows.length > 1) tell('duplicated', 'a key has two purchases');
    if (new Set(shown.map(({ id }) => id)).size > 1) tell('duplicated', 'a key was given two different purchases');
    if (shown.some(({ quantity, buyerId }) => quantity !== this.quantity || buyerId !== this.buyerId))
      tell('untrue', 'a purchase was shown with another quantity or buyer');
    if (shown.length > 0 && shown[0]!.id !== this.row?.id) tell('lost', 'a purchase that was acknowledged is not there');
    if (this.tries.some(({ answer }) => answer.kind === 'refused' && answer.code === 'purchase-not-found'))
      tell('lost', 'a purchase that was acknowledged was denied');
    const tickets = shown.filter(({ ticketIds }) => ticketIds.length > 0).map(({ ticketIds }) => ticketIds.toSorted().join());
    if (new Set(tickets).size > 1) tell('untrue', 'a purchase was shown with two sets of tickets');
    if (tickets.length > 0 && tickets[0] !== this.row?.ticketIds.join()) tell('lost', 'the tickets are not those that were acknowledged');
    if (shown.some(({ status, ticketIds }) => ticketIds.length !== ticketsOf(status, this.quantity, ticketIds.length)))
      tell('untrue', 'a purchase was shown with tickets that do not go with its status');
  }

  /** What was shown of its status, in the order of time. */
  #checkCourse(tell: Tell): void {
    const shown = this.tries.flatMap((one) => {
      const status = statusIn(one.answer);
      return status === undefined ? [] : [{ ...one, status }];
    });
    const ends = new Set(shown.map(({ status }) => status).filter((status) => status !== 'held'));
    const isCancelledAfterConfirmation = ends.size === 2 && ends.has('confirmed') && ends.has('cancelled');
    if (ends.size > 1 && !isCancelledAfterConfirmation) tell('untrue', `a purchase was both ${[...ends].sort().join(' and ')}`);
    const goesBack = shown.some((before) =>
      shown.some((after) => before.returnedAtMs < after.calledAtMs && rank[before.status] > rank[after.status]),
    );
    if (goesBack) tell('untrue', 'a status that was final was not');
    const final = this.row && statusOf(this.row);
    if (final && shown.some(({ status }) => rank[status] > rank[final] || (rank[status] === 2 && status !== final)))
      tell('lost', 'a transition that was acknowledged is not in the row');
    if (final && ends.has('confirmed') && final !== 'confirmed' && final !== 'cancelled')
      tell('lost', 'a confirmation that was acknowledged is not in the row');
  }

  #checkRow(row: BookedHold, tell: Tell): void {
    if (row.quantity !== this.quantity || row.buyerId !== this.buyerId) tell('untrue', 'the row is not what was asked for');
    if (row.status === 'expired' && !row.isOver) tell('untrue', 'a hold expired before its time');
    if (row.ticketIds.length !== ticketsOf(row.status, row.quantity, row.ticketIds.length))
      tell('oversold', 'the tickets of a purchase do not go with its status');
    const cause = row.expiresAtMs === null && row.status === 'confirmed' ? undefined : causeOf[row.status];
    for (const action of ['hold', cause] as const) {
      const own = this.tries.filter((one) => one.action === action && (one.answer.kind === 'purchase' || one.answer.kind === 'unknown'));
      if (action && own.length === 0) tell('untrue', `a ${action} was answered that it did nothing, or never asked for, and happened`);
    }
  }
}

type Tell = (harm: Violation['harm'], rule: string) => void;

/** A cancelled purchase has tickets if it was confirmed before. */
function ticketsOf(status: Status, quantity: number, has: number): number {
  if (status === 'confirmed') return quantity;
  return status === 'cancelled' && has > 0 ? quantity : 0;
}

interface Interval {
  readonly quantity: number;
  readonly fromMs: number;
  readonly toMs: number;
}

/** The most tickets that these have at one moment. */
function mostAtOnce(intervals: readonly Interval[]): number {
  const steps = intervals
    .filter(({ fromMs, toMs }) => fromMs < toMs)
    .flatMap(({ quantity, fromMs, toMs }) => [
      { atMs: fromMs, change: quantity },
      { atMs: toMs, change: -quantity },
    ]);
  let [now, most] = [0, 0];
  for (const { change } of steps.sort((one, other) => one.atMs - other.atMs || one.change - other.change)) {
    now += change;
    most = Math.max(most, now);
  }
  return most;
}

function checkEvent(event: HoldEvent, { purchases: rows, totals }: HoldLedger, all: readonly Course[]): Violation[] {
  const found: Violation[] = [];
  const tell = (harm: Violation['harm'], rule: string, of = `event ${event.id}`) => found.push(violation(harm, rule, of));
  const own = rows.filter(({ eventId }) => eventId === event.id);
  const courses = all.filter(({ eventId }) => eventId === event.id);
  const taking = own.filter(({ status }) => status === 'held' || status === 'confirmed');

  if (event.available < 0 || sum(taking) > event.quota) tell('oversold', 'more was sold than there is');
  if (event.available + sum(taking) !== event.quota) tell('oversold', 'available, held and sold do not add up to the quota');
  if (mostAtOnce(courses.map(({ takes }) => takes)) > event.quota) tell('oversold', 'at one moment more was taken than there is');
  const totalOf = new Map(totals.filter(({ eventId }) => eventId === event.id).map(({ buyerId, quantity }) => [buyerId, quantity]));
  const buyers = new Set([...totalOf.keys(), ...own.flatMap(({ buyerId }) => buyerId ?? [])]);
  for (const buyer of buyers) {
    const counted = sum(taking.filter(({ buyerId }) => buyerId === buyer));
    if (counted !== (totalOf.get(buyer) ?? 0)) tell('untrue', "a buyer's total is not what the rows say", buyer);
    const most = mostAtOnce(courses.filter(({ buyerId }) => buyerId === buyer).map(({ takes }) => takes));
    if (Math.max(counted, most) > (event.maxPerBuyer ?? Infinity)) tell('oversold', 'a buyer has more than the event allows', buyer);
  }
  return [...found, ...checkRefusals(event, courses)];
}

/** A refusal is false if what was refused was certainly possible during the whole call. */
function checkRefusals(event: HoldEvent, courses: readonly Course[]): Violation[] {
  const taken = courses
    .map(({ quantity, buyerId, mayTakeFromMs: fromMs, mayTakeToMs: toMs }) => ({ quantity, buyerId, fromMs, toMs }))
    .filter(({ fromMs, toMs }) => fromMs < toMs);
  return courses.flatMap(({ tries }) =>
    tries.flatMap(({ answer, calledAtMs, returnedAtMs, quantity, buyerId, key, action }) => {
      if (action !== 'hold' || answer.kind !== 'refused') return [];
      const meanwhile = taken.filter(({ fromMs, toMs }) => fromMs < returnedAtMs && toMs > calledAtMs);
      const isOfBuyer = answer.code === 'buyer-limit-exceeded';
      const most = sum(isOfBuyer ? meanwhile.filter((one) => one.buyerId === buyerId) : meanwhile);
      const isPossible = most + quantity <= (isOfBuyer ? (event.maxPerBuyer ?? Infinity) : event.quota);
      return isPossible ? [violation('untrue', 'refused, although it was certainly possible', key)] : [];
    }),
  );
}
