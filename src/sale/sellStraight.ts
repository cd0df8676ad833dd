/**
 * The straight path: supposes that everybody in the batch can have what he asks for, and lets the database say no. The
 * write of the careful path, alone: one statement is a transaction by itself, and the only round trip.
 *
 * What was tried: one hot event, 256 connections, a key on every request, purchases as a share of what a route that does
 * nothing answers. Only figures of one run can be compared (two shared cores, medians):
 *
 *     16 rounds   0.86  this statement alone
 *                 0.82  this statement alone, two batches in flight
 *                 0.77  BEGIN sent together with the statement (pg's pipeline mode), then COMMIT
 *                 0.75  the same, the next batch starting while this one waits for COMMIT
 *      7 rounds   0.70  BEGIN, this statement, COMMIT
 *                 0.66  the careful path: BEGIN, lock, recall, write, COMMIT
 *      4 rounds   0.93  this statement alone, prepared (db/client.ts)
 *
 * Each reply of the database waits its turn in an event loop full of HTTP, so it is replies that cost, and Prisma's work for
 * each operation. Two batches in flight are each half as large, behind the same lock.
 */
import type { Pool } from '../db/client.js';
import { classify } from '../db/faults.js';
import { recordPurchases } from '../sql/recordPurchases.js';
import type { Outcome, PurchaseRequest } from './outcome.js';
import { BatchFault, toNewPurchase, toPurchase } from './sellBatch.js';

const uniqueViolation = '23505';

/**
 * @returns one outcome per request, all sold, durable; undefined if not everything could be granted, and then nothing happened
 * @throws BatchFault. Unless it is certain that nothing happened, it may even happen later: the statement needs nothing more
 *   from us, and may be waiting in a network or in a stopped backend, before it has any lock (sale.ts, `isConclusive`).
 */
export async function sellStraight(pool: Pool, eventId: string, requests: readonly PurchaseRequest[]): Promise<Outcome[] | undefined> {
  const purchases = requests.map(toNewPurchase);
  try {
    const createdAt = await recordPurchases(pool.prisma, eventId, purchases);
    return (
      createdAt && purchases.map((purchase) => ({ kind: 'sold', purchase: toPurchase(eventId, purchase, createdAt), replayed: false }))
    );
  } catch (cause) {
    const fault = classify(cause);
    if (fault.sqlState === uniqueViolation) return undefined; // a key was used before, or twice in this batch
    throw new BatchFault(cause, fault.undone ? 'no' : 'perhaps later');
  }
}
