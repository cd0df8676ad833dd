/**
 * The straight path: supposes that everybody in the batch can have what he asks for, and lets the database say no. The
 * write of the careful path, alone: one statement is a transaction by itself, and the only round trip. With several events
 * on sale, those whose batches wait for a connection share one statement: it is their number that costs.
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
 *      9 rounds   0.83  this statement, started at the end of the event loop's turn (groupCommit.ts)
 *                 0.80  the same, started at once
 *
 * A hundred hot events, as a share of what one sells (5 rounds): 0.96 sharing statements, 0.72 with one for each event.
 *
 * Each reply of the database waits its turn in an event loop full of HTTP, so it is replies that cost, and Prisma's work for
 * each operation. Two batches in flight are each half as large, behind the same lock.
 */
import type { Pool, Queryable } from '../db/client.js';
import { classify } from '../db/faults.js';
import { recordPurchases } from '../sql/recordPurchases.js';
import { type EventPurchases, recordShared } from '../sql/recordShared.js';
import type { Outcome, PurchaseRequest } from './outcome.js';
import { BatchFault, toNewPurchase, toPurchase } from './sellBatch.js';

const uniqueViolation = '23505';

/** Requests of one event that go together. */
export interface Batch {
  readonly eventId: string;
  readonly requests: readonly PurchaseRequest[];
}

/**
 * @returns for each batch one outcome per request, all sold, durable; undefined if not everything in it could be granted, and
 *   then nothing happened to it
 * @throws BatchFault. Unless it is certain that nothing happened, it may even happen later: the statement needs nothing more
 *   from us, and may be waiting in a network or in a stopped backend, before it has any lock (resolve.ts, `isConclusive`).
 */
export async function sellStraight({ prisma }: Pool, batches: readonly Batch[]): Promise<(Outcome[] | undefined)[]> {
  const wanted = batches.map(({ eventId, requests }) => ({ eventId, purchases: requests.map(toNewPurchase) }));
  const some = wanted.filter(({ purchases }) => purchases.length > 0);
  if (some.length === 0) return batches.map(() => []);
  const [first] = some;
  try {
    const soldAt = await (some.length === 1 && first ? recordOne(prisma, first) : recordShared(prisma, some));
    return wanted.map((of) => {
      if (of.purchases.length === 0) return [];
      const createdAt = soldAt.get(of.eventId);
      return createdAt && sold(of, createdAt);
    });
  } catch (cause) {
    const fault = classify(cause);
    if (fault.sqlState === uniqueViolation) return batches.map(() => undefined); // a key was used before, or twice in a batch
    throw new BatchFault(cause, fault.undone ? 'no' : 'perhaps later');
  }
}

/** @returns as `recordShared` */
async function recordOne(db: Queryable, { eventId, purchases }: EventPurchases): Promise<ReadonlyMap<string, Date>> {
  const createdAt = await recordPurchases(db, eventId, purchases);
  return new Map(createdAt && [[eventId, createdAt]]);
}

function sold({ eventId, purchases }: EventPurchases, createdAt: Date): Outcome[] {
  return purchases.map((purchase) => ({ kind: 'sold', purchase: toPurchase(eventId, purchase, createdAt), replayed: false }));
}
