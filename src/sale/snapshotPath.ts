/**
 * The snapshot path serves batches in which no request can be granted, with one read and no lock. It gives only refusals, which
 * take no tickets; these are true as of that read.
 */
import type { Pool } from '../db/client.js';
import { readSnapshot } from '../sql/readSnapshot.js';
import { AttemptFault } from './attempt.js';
import { decide } from './decide.js';
import { keysOf } from './outcomes.js';
import type { Outcome, PurchaseRequest } from './types.js';

/**
 * @returns one refusal per request; undefined if a request can be granted or a key is known (a replay must be as durable as the
 *   purchase that it repeats, which a read cannot ensure)
 * @throws AttemptFault; nothing was written
 */
export async function refuseBySnapshot(pool: Pool, eventId: string, requests: readonly PurchaseRequest[]): Promise<Outcome[] | undefined> {
  try {
    const snapshot = await readSnapshot(pool.prisma, eventId, keysOf(requests));
    if (!snapshot || snapshot.keyKnown) return undefined;
    const refusals: Outcome[] = [];
    for (const decision of decide(snapshot.event, [], requests)) {
      if (decision.kind === 'grant' || decision.kind === 'repeat' || decision.kind === 'recall') return undefined;
      refusals.push(decision);
    }
    return refusals;
  } catch (cause) {
    throw new AttemptFault(cause, 'not committed');
  }
}
