/**
 * Goal: hold what the buyers were answered against what the database has, and name every contradiction.
 * Method: pure code over a history and a ledger. No event here sells holds, and nothing is cancelled, so what is left of an event
 * only ever falls; that makes a refusal final, and its truth decidable from the times of the calls. (holdChecker.ts is for the others.)
 */
import { type Attempt, byKey, type KeyHistory } from './history.js';
import type { BookedEvent, BookedPurchase, Ledger } from './ledger.js';

/** What a contradiction comes to for somebody. */
export type Harm = 'lost' | 'duplicated' | 'oversold' | 'untrue' | 'unresolved' | 'dropped';

export interface Violation {
  readonly harm: Harm;
  readonly rule: string;
  /** The key, or the event. */
  readonly of: string;
}

/** @param resolved whether every unknown was tried again until it was answered, so that none may be left */
export function check(attempts: readonly Attempt[], ledger: Ledger, { resolved }: { resolved: boolean }): Violation[] {
  const keys = byKey(attempts);
  const booked = new Map<string, BookedPurchase[]>();
  for (const purchase of ledger.purchases) {
    const key = purchase.key ?? '';
    booked.set(key, [...(booked.get(key) ?? []), purchase]);
  }
  const violations = [...keys.values()].flatMap((history) => checkKey(history, booked.get(history.key) ?? [], resolved));
  for (const [key, purchases] of booked) {
    if (keys.has(key)) continue;
    violations.push(...purchases.map(({ id }) => violation('duplicated', 'a purchase that no buyer asked for', `purchase ${id}`)));
  }
  if (ledger.orphans > 0) violations.push(violation('oversold', 'tickets of no purchase', `${String(ledger.orphans)} tickets`));
  return [...violations, ...checkTicketsAreDistinct(ledger), ...ledger.events.flatMap((event) => checkEvent(event, keys, ledger))];
}

const violation = (harm: Harm, rule: string, of: string): Violation => ({ harm, rule, of });

/** One key: what it was answered, each time, and what it has. */
function checkKey(history: KeyHistory, purchases: readonly BookedPurchase[], resolved: boolean): Violation[] {
  const { key, quantity, standing, attempts } = history;
  const found: Violation[] = [];
  const tell = (harm: Harm, rule: string) => found.push(violation(harm, rule, key));
  const answers = attempts.map((attempt) => attempt.answer);
  const acknowledged = answers.flatMap((answer) => (answer.kind === 'granted' ? [answer.purchase] : []));

  if (purchases.length > 1) tell('duplicated', 'a key has two purchases');
  if (new Set(acknowledged.map(({ json }) => json)).size > 1) tell('duplicated', 'a key was given two different purchases');
  if (acknowledged.length > 0 && answers.some(({ kind }) => kind === 'refused')) tell('untrue', 'a key was both sold to and refused');
  for (const { id, ticketIds, quantity: sold } of acknowledged.slice(0, 1)) {
    const own = purchases.find((purchase) => purchase.id === id);
    if (!own) tell('lost', 'a purchase that was acknowledged is not there');
    else if (ticketIds.toSorted().join() !== own.ticketIds.join()) tell('lost', 'the tickets are not those that were acknowledged');
    if (sold !== quantity || ticketIds.length !== quantity) tell('lost', 'acknowledged was not what was asked for');
  }
  if (standing === 'refused' && purchases.length > 0) tell('untrue', 'a key that was refused has a purchase');
  if (standing === 'not begun' && purchases.length > 0) tell('untrue', 'a key that was answered that nothing happened has a purchase');
  if (resolved && standing === 'unknown') tell('unresolved', 'a key has no answer after all retries');
  return found;
}

function checkTicketsAreDistinct({ purchases }: Ledger): Violation[] {
  const seen = new Set<string>();
  const twice = purchases.flatMap(({ ticketIds }) => ticketIds).filter((id) => seen.size === seen.add(id).size);
  return twice.map((id) => violation('oversold', 'a ticket was issued twice', `ticket ${id}`));
}

/** One event: its books, and whether those who were refused were refused rightly. */
function checkEvent(event: BookedEvent, keys: ReadonlyMap<string, KeyHistory>, { purchases }: Ledger): Violation[] {
  const found: Violation[] = [];
  const tell = (harm: Harm, rule: string) => found.push(violation(harm, rule, `event ${event.id}`));
  const own = purchases.filter((purchase) => purchase.eventId === event.id);
  const buyers = [...keys.values()].filter((history) => history.eventId === event.id);
  const sold = sum(own);
  const acknowledged = sum(buyers.filter(({ standing }) => standing === 'acknowledged'));
  const unknown = sum(buyers.filter(({ standing }) => standing === 'unknown'));

  if (event.available < 0 || sold > event.quota) tell('oversold', 'more was sold than there is');
  if (event.available + sold !== event.quota) tell('oversold', 'available and sold do not add up to the quota');
  if (own.some(({ quantity, ticketIds }) => ticketIds.length !== quantity))
    tell('oversold', 'a purchase has not as many tickets as it says');
  if (sold < acknowledged) tell('lost', 'less was sold than was acknowledged');
  if (sold > acknowledged + unknown) tell('duplicated', 'more was sold than was acknowledged or is unknown');
  return [...found, ...checkRefusals(event, buyers, own, keys)];
}

const sum = (list: readonly { readonly quantity: number }[]) => list.reduce((total, { quantity }) => total + quantity, 0);

function checkRefusals(
  event: BookedEvent,
  buyers: readonly KeyHistory[],
  own: readonly BookedPurchase[],
  keys: ReadonlyMap<string, KeyHistory>,
): Violation[] {
  const bought = own.map(({ key, quantity }) => ({ quantity, calledAtMs: keys.get(key ?? '')?.firstCalledAtMs ?? -Infinity }));
  const acknowledged = buyers.flatMap(({ quantity, attempts }) => {
    const times = attempts.filter(({ answer }) => answer.kind === 'granted').map(({ returnedAtMs }) => returnedAtMs);
    return times.length > 0 ? [{ quantity, returnedAtMs: Math.min(...times) }] : [];
  });
  return buyers
    .flatMap(({ attempts }) => attempts)
    .flatMap((attempt) => {
      const { answer, calledAtMs, returnedAtMs, quantity, key } = attempt;
      if (answer.kind !== 'refused') return [];
      // What was called after the answer cannot have been sold before it; what was acknowledged before the call was.
      const leftAtLeast = event.quota - sum(bought.filter((purchase) => purchase.calledAtMs < returnedAtMs));
      const leftAtMost = event.quota - sum(acknowledged.filter((purchase) => purchase.returnedAtMs < calledAtMs));
      const isTrue = answer.available < quantity && leftAtLeast <= answer.available && answer.available <= leftAtMost;
      const after = bought.filter((purchase) => purchase.calledAtMs >= returnedAtMs);
      return [
        ...(isTrue ? [] : [violation('untrue', 'refused, although enough was certainly left, or with a wrong number', key)]),
        ...(sum(after) > answer.available ? [violation('untrue', 'more was sold after a refusal than it said was left', key)] : []),
      ];
    });
}
