/**
 * The locked path serves any batch of one event in one transaction: lock, read, decide, write, assert. It makes no assumptions,
 * so it serves the end of a sale, releases and cancellations, expired holds, and every attempt after a fault. Most batches need
 * less (fastPath.ts).
 */
import type { Pool, Queryable } from '../db/client.js';
import { toRules } from '../sql/eventColumns.js';
import { giveBack } from '../sql/giveBack.js';
import { lockAndFenceEvent, lockEvent } from '../sql/lockEvent.js';
import { readBuyerTotals } from '../sql/readBuyerTotals.js';
import { recordPurchases } from '../sql/recordPurchases.js';
import { AttemptFault } from './attempt.js';
import { decide } from './decide.js';
import { lockAndFree } from './expiry.js';
import { HeldCounts } from './heldCounts.js';
import { buyersOf, isPurchase, keysOf, toNewPurchases, toOutcomes, toPurchase } from './outcomes.js';
import type { EventRequest, EventState, Outcome, Purchase, Rules } from './types.js';

export interface LockedAnswer {
  /** One durable outcome per request, in order. */
  readonly outcomes: Outcome[];
  /** The rules read under the lock; undefined if the event does not exist. */
  readonly rules: Rules | undefined;
}

/**
 * Idempotent: repeating the same requests returns the same purchases, whether or not an earlier attempt committed. The row lock
 * is the barrier: an earlier locked attempt whose COMMIT was sent holds the lock until it ends. So once this attempt has the
 * lock, the earlier one has either committed, and its purchases exist, or never will. (Rows are never deleted: a
 * purchase that has given back what it took still exists, with another status.)
 *
 * @param fence set after a fast attempt in doubt: it also prevents that attempt's statement from selling if it arrives later
 * @throws AttemptFault
 */
export async function sellLocked(
  pool: Pool,
  eventId: string,
  requests: readonly EventRequest[],
  fence: boolean,
  heldCounts = new HeldCounts(),
): Promise<LockedAnswer> {
  let commitSent = false as boolean; // set inside the callback, which the compiler does not track
  try {
    return await pool.prisma.$transaction(async (tx) => {
      const answer = await sellUnderLock(tx, eventId, requests, heldCounts, fence ? lockAndFenceEvent : lockEvent);
      commitSent = true;
      return answer;
    }, pool.transaction);
  } catch (cause) {
    throw new AttemptFault(cause, commitSent ? 'in doubt' : 'not committed');
  }
}

async function sellUnderLock(
  tx: Queryable,
  eventId: string,
  requests: readonly EventRequest[],
  heldCounts: HeldCounts,
  lock: typeof lockEvent,
): Promise<LockedAnswer> {
  const row = await lock(tx, eventId);
  if (!row) return { outcomes: requests.map(() => ({ kind: 'event-not-found' })), rules: undefined };
  const rules = toRules(row);
  const buyerIds = rules.maxPerBuyer === null ? [] : buyersOf(requests);
  const wanted = requests.reduce((sum, each) => sum + (isPurchase(each) ? Math.min(each.quantity, rules.maxPurchaseLimit) : 0), 0);
  const toLock = { ids: requests.map(({ purchaseId }) => purchaseId), keys: keysOf(requests), buyerIds };
  const { purchases, available } = await lockAndFree(tx, eventId, toLock, row.available, wanted - row.available);
  const event: EventState = {
    available,
    held: available < wanted ? await heldCounts.read(tx, eventId) : 0,
    phase: row.phase,
    startsInSeconds: row.startsInSeconds,
    rules,
    buyerTotals: buyerIds.length > 0 ? await readBuyerTotals(tx, eventId, buyerIds) : new Map(),
  };
  const decisions = decide(event, purchases, requests);
  const back = decisions.flatMap((decision) => (decision.kind === 'give back' ? [decision.purchase] : []));
  const granted = toNewPurchases(requests, decisions, rules);
  if (back.length > 0) await giveBack(tx, eventId, back);
  const createdAt = granted.length > 0 ? await recordPurchases(tx, eventId, rules.revision, granted) : undefined;
  // Under the lock only the clock can have made the statement's conditions false: the sale has ended since the lock was requested.
  if (granted.length > 0 && !createdAt) return sellUnderLock(tx, eventId, requests, heldCounts, lockEvent);
  const written = new Map(createdAt && granted.map((each): [string, Purchase] => [each.id, toPurchase(eventId, each, rules, createdAt)]));
  return { outcomes: toOutcomes(requests, decisions, written), rules };
}
