/**
 * The snapshot path serves batches in which no request can be granted, with one read and no lock of the event. It gives refusals,
 * which take no tickets and are true as of that read, and no longer: tickets can come back, so nothing remembers a refusal. And it
 * gives replays, for which it locks the purchases that they repeat.
 */
import type { Pool } from '../db/client.js';
import { lockPurchases } from '../sql/lockPurchases.js';
import { readSnapshot } from '../sql/readSnapshot.js';
import { AttemptFault } from './attempt.js';
import { decide } from './decide.js';
import { HeldCounts } from './heldCounts.js';
import { buyersOf, keysOf } from './outcomes.js';
import type { EventRequest, Outcome, Rules } from './types.js';

/**
 * A replay must be as durable as the purchase that it repeats, which a read cannot ensure: the commit of the lock does. Without it a
 * buyer who mixes replays with attempts beyond the limit would take the event's lock with each of these batches, and halve what is
 * sold to others (60 connections: 0.55 of what is sold beside as many requests for another event).
 *
 * @param rules as cached: without a limit for buyers, their totals are not read
 * @returns one refusal or replay per request; undefined if a request can be granted
 * @throws AttemptFault; nothing was written
 */
export async function refuseBySnapshot(
  pool: Pool,
  eventId: string,
  requests: readonly EventRequest[],
  rules: Rules | undefined,
  heldCounts = new HeldCounts(),
): Promise<Outcome[] | undefined> {
  try {
    const hasBuyerLimit = rules !== undefined && rules.maxPerBuyer !== null;
    const keys = keysOf(requests);
    const snapshot = await readSnapshot(pool.prisma, eventId, keys, hasBuyerLimit ? buyersOf(requests) : []);
    if (!snapshot || (snapshot.event.rules.maxPerBuyer !== null && !hasBuyerLimit)) return undefined;
    const { event, isHeldComplete } = snapshot;
    const held = isHeldComplete ? event.held : await heldCounts.countAll(pool.prisma, eventId);
    const existing = snapshot.keyKnown ? (await lockPurchases(pool.prisma, eventId, { keys })).purchases : [];
    const outcomes: Outcome[] = [];
    for (const decision of decide({ ...event, held }, existing, requests)) {
      switch (decision.kind) {
        case 'recall':
          outcomes.push({ kind: 'granted', purchase: decision.purchase, replayed: true });
          break;
        case 'grant':
        case 'repeat':
        case 'give back':
        case 'unchanged':
          return undefined;
        default:
          outcomes.push(decision);
      }
    }
    return outcomes;
  } catch (cause) {
    throw new AttemptFault(cause, 'not committed');
  }
}
