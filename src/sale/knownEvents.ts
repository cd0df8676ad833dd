/**
 * Buyers of events that do not exist must not stand in line with the others: each made-up id would be a line, a batch and a
 * transaction of its own. So the first purchase of an event looks it up first, together with whoever else asks what is left.
 */
import type { Availability } from './availability.js';
import type { Sale } from './sale.js';

/** Events are never deleted, so what was found once is true for good; beyond so many, all are looked up again. */
const knownMax = 100_000;

/** @returns the same sale, for events that exist */
export function ofKnownEvents(sale: Sale, availability: Availability): Sale['sell'] {
  const known = new Set<string>();
  const lookUpAndSell: Sale['sell'] = async (eventId, request, isGone) => {
    // If the look fails, nothing has happened yet; the sale tries for as long as the deadline lets it.
    const found = await availability.read(eventId).catch(() => undefined);
    if (found?.kind === 'event-not-found') return found;
    if (found?.kind === 'overloaded') return { ...found, reason: 'line full' };
    if (known.size >= knownMax) known.clear();
    if (found) known.add(eventId);
    return sale.sell(eventId, request, isGone);
  };
  return (eventId, request, isGone) => (known.has(eventId) ? sale.sell(eventId, request, isGone) : lookUpAndSell(eventId, request, isGone));
}
