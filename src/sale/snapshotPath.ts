/**
 * The snapshot path serves batches in which no request can be granted, with one read and no lock. It gives only refusals, which
 * take no tickets; these are true as of that read, and no longer: tickets can come back, so nothing remembers a refusal.
 */
import type { Pool } from '../db/client.js';
import { readSnapshot } from '../sql/readSnapshot.js';
import { AttemptFault } from './attempt.js';
import { decide } from './decide.js';
import { HeldCounts } from './heldCounts.js';
import { buyersOf, keysOf } from './outcomes.js';
import type { EventRequest, Outcome, Rules } from './types.js';

/**
 * @param rules as cached: without a limit for buyers, their totals are not read
 * @returns one refusal per request; undefined if a request can be granted or a key is known (a replay must be as durable as the
 *   purchase that it repeats, which a read cannot ensure)
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
    const snapshot = await readSnapshot(pool.prisma, eventId, keysOf(requests), hasBuyerLimit ? buyersOf(requests) : []);
    if (!snapshot || snapshot.keyKnown || (snapshot.event.rules.maxPerBuyer !== null && !hasBuyerLimit)) return undefined;
    const { event, isHeldComplete } = snapshot;
    const held = isHeldComplete ? event.held : await heldCounts.countAll(pool.prisma, eventId);
    const refusals: Outcome[] = [];
    for (const decision of decide({ ...event, held }, [], requests)) {
      switch (decision.kind) {
        case 'grant':
        case 'repeat':
        case 'recall':
        case 'give back':
        case 'unchanged':
          return undefined;
        default:
          refusals.push(decision);
      }
    }
    return refusals;
  } catch (cause) {
    throw new AttemptFault(cause, 'not committed');
  }
}
