/**
 * The locked path serves any batch of one event in one transaction: lock, read, decide, write, assert. It makes no assumptions,
 * so it serves the end of a sale and every attempt after a fault. Most batches need less (fastPath.ts).
 */
import type { Pool, Queryable } from '../db/client.js';
import { lockAndFenceEvent, lockEvent } from '../sql/lockEvent.js';
import { readExisting } from '../sql/readExisting.js';
import { recordPurchases } from '../sql/recordPurchases.js';
import { AttemptFault } from './attempt.js';
import { decide, type Decision } from './decide.js';
import { keysOf, toNewPurchase, toOutcomes, toPurchase } from './outcomes.js';
import type { Outcome, Purchase, PurchaseRequest, Rules } from './types.js';

export interface LockedAnswer {
  /** One durable outcome per request, in order. */
  readonly outcomes: Outcome[];
  /** The rules read under the lock; undefined if the event does not exist. */
  readonly rules: Rules | undefined;
}

/**
 * Idempotent: repeating the same requests returns the same purchases, whether or not an earlier attempt committed. The row lock
 * is the barrier: an earlier locked attempt whose COMMIT was sent holds the lock until it ends. So once this attempt has the
 * lock, the earlier one has either committed, and its purchases exist, or never will.
 *
 * @param fence set after a fast attempt in doubt: it also prevents that attempt's statement from selling if it arrives later
 * @throws AttemptFault
 */
export async function sellLocked(pool: Pool, eventId: string, requests: readonly PurchaseRequest[], fence: boolean): Promise<LockedAnswer> {
  const ids = requests.map((request) => request.purchaseId);
  let commitSent = false as boolean; // set inside the callback, which the compiler does not track
  try {
    return await pool.prisma.$transaction(async (tx) => {
      const event = await (fence ? lockAndFenceEvent : lockEvent)(tx, eventId);
      if (!event) return { outcomes: requests.map(() => ({ kind: 'event-not-found' })), rules: undefined };
      const existing = await readExisting(tx, eventId, ids, keysOf(requests));
      const decisions = decide(event, existing, requests);
      const written = await write(tx, eventId, event.rules, requests, decisions);
      commitSent = true;
      return { outcomes: toOutcomes(requests, decisions, written), rules: event.rules };
    }, pool.transaction);
  } catch (cause) {
    throw new AttemptFault(cause, commitSent ? 'in doubt' : 'not committed');
  }
}

/** Writes the granted purchases. @returns the purchases by id */
async function write(
  tx: Queryable,
  eventId: string,
  { revision }: Rules,
  requests: readonly PurchaseRequest[],
  decisions: readonly Decision[],
): Promise<Map<string, Purchase>> {
  const granted = requests.filter((_, index) => decisions[index]?.kind === 'grant').map(toNewPurchase);
  if (granted.length === 0) return new Map();
  const createdAt = await recordPurchases(tx, eventId, revision, granted);
  if (!createdAt) throw new Error('under the row lock, the granted tickets were no longer available');
  return new Map(granted.map((purchase) => [purchase.id, toPurchase(eventId, purchase, createdAt)]));
}
