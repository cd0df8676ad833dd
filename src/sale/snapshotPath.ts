/**
 * The snapshot path, for batches in which nobody can be granted: one read without a lock. It is used for nothing but answers
 * that take nothing, and these are true as of that read, whatever the reason of the refusals is.
 */
import type { Pool } from '../db/client.js';
import { readSnapshot } from '../sql/readSnapshot.js';
import { AttemptFault } from './attempt.js';
import { decide } from './decide.js';
import { keysOf } from './outcomes.js';
import type { Outcome, PurchaseRequest } from './types.js';

/**
 * @returns one refusal per request; undefined, and nothing happened, if anybody is to be granted or a key is known (a replay
 *   must be as durable as what it repeats, and a read is not)
 * @throws AttemptFault; nothing happened
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
