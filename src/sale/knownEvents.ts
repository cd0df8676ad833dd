/**
 * Keeps purchases of events that do not exist out of the sale: each invented id would cost a queue, a batch and a transaction.
 * So the first purchase of an event looks the event up, in the query that availability reads share, and the sale starts with the
 * rules found there.
 */
import { toRules } from '../sql/eventColumns.js';
import type { Availability, ReadOutcome } from './availability.js';
import type { EventRegistry } from './eventRegistry.js';
import type { Sale, SaleObserver } from './sale.js';
import type { Outcome } from './types.js';

/** @returns the same sale, restricted to events that exist */
export function ofKnownEvents(
  sale: Sale,
  events: EventRegistry,
  availability: Availability,
  observer: Pick<SaleObserver, 'outcome' | 'refused'>,
): Sale['sell'] {
  const lookUpAndSell: Sale['sell'] = async (eventId, request, isGone) => {
    const found = await availability.read(eventId).catch(() => 'failed' as const);
    const refused = refusal(found);
    if (refused) {
      if (refused.kind === 'overloaded') observer.refused(refused.reason);
      observer.outcome(request.kind, refused);
      return refused;
    }
    if (found !== 'failed' && found.kind === 'found') events.learn(eventId, toRules(found.event));
    return sale.sell(eventId, request, isGone);
  };
  return (eventId, request, isGone) =>
    events.has(eventId) ? sale.sell(eventId, request, isGone) : lookUpAndSell(eventId, request, isGone);
}

/** A failed look-up is a refusal: nothing has been bought yet, and a sale after it would start a second deadline. */
function refusal(found: ReadOutcome | 'failed'): Extract<Outcome, { kind: 'event-not-found' | 'overloaded' }> | undefined {
  if (found === 'failed') return { kind: 'overloaded', reason: 'too late', retryAfterSeconds: 1 };
  switch (found.kind) {
    case 'found':
      return undefined;
    case 'event-not-found':
      return found;
    case 'overloaded':
      return { ...found, reason: 'purchases full' };
  }
}
