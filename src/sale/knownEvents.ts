/**
 * Buyers of events that do not exist must not stand in line with the others: each made-up id would be a line, a batch and a
 * transaction of its own. So the first purchase of an event looks it up first, together with whoever else asks what is left.
 */
import type { Availability, ReadOutcome } from './availability.js';
import type { Outcome } from './outcome.js';
import type { Sale, SaleObserver } from './sale.js';

/** Events are never deleted, so what was found once is true for good; beyond so many, all are looked up again. */
const knownMax = 100_000;

/** @returns the same sale, for events that exist */
export function ofKnownEvents(sale: Sale, availability: Availability, observer: Pick<SaleObserver, 'outcome' | 'refused'>): Sale['sell'] {
  const known = new Set<string>();
  const lookUpAndSell: Sale['sell'] = async (eventId, request, isGone) => {
    const refused = refusal(await availability.read(eventId).catch(() => 'failed' as const));
    if (refused) {
      if (refused.kind === 'overloaded') observer.refused(refused.reason);
      observer.outcome(refused.kind, false);
      return refused;
    }
    if (known.size >= knownMax) known.clear();
    known.add(eventId);
    return sale.sell(eventId, request, isGone);
  };
  return (eventId, request, isGone) => (known.has(eventId) ? sale.sell(eventId, request, isGone) : lookUpAndSell(eventId, request, isGone));
}

/** Nothing has happened yet, so a look that failed may be a refusal; a sale after it would have a deadline of its own, a second one. */
function refusal(found: ReadOutcome | 'failed'): Extract<Outcome, { kind: 'event-not-found' | 'overloaded' }> | undefined {
  if (found === 'failed') return { kind: 'overloaded', reason: 'too late', retryAfterSeconds: 1 };
  switch (found.kind) {
    case 'found':
      return undefined;
    case 'event-not-found':
      return found;
    case 'overloaded':
      return { ...found, reason: 'line full' };
  }
}
