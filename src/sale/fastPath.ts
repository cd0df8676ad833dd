/**
 * The fast path, for the normal case: decides by the rules that this replica has cached, supposing that enough is available and
 * that no key is known, and lets one statement write everything and check the suppositions. The statement is a transaction
 * by itself, and the only round trip. The batches of several events that wait for a connection share one: it is the number of
 * statements that costs.
 *
 * What was tried: one hot event, 256 connections, a key on every request, purchases as a share of what a route that does
 * nothing answers. Only figures of one run can be compared (two shared cores, medians):
 *
 *     16 rounds   0.86  this statement alone
 *                 0.82  this statement alone, two batches in flight
 *                 0.77  BEGIN sent together with the statement (pg's pipeline mode), then COMMIT
 *                 0.75  the same, the next batch starting while this one waits for COMMIT
 *      7 rounds   0.70  BEGIN, this statement, COMMIT
 *                 0.66  the locked path: BEGIN, lock, read, write, COMMIT
 *      4 rounds   0.93  this statement alone, prepared (db/client.ts)
 *      9 rounds   0.83  this statement, started at the end of the event loop's turn (concurrency/batcher.ts)
 *                 0.80  the same, started at once
 *
 * A hundred hot events, as a share of what one sells (5 rounds): 0.96 sharing statements, 0.72 with one for each event.
 *
 * Replies are what costs: each waits its turn in an event loop full of HTTP, and Prisma works for each operation. Two batches
 * in flight are each half as large, behind the same lock.
 */
import type { Pool, Queryable } from '../db/client.js';
import { classify } from '../db/faults.js';
import { readExisting } from '../sql/readExisting.js';
import { type NewPurchase, recordPurchases } from '../sql/recordPurchases.js';
import { type Recorded, recordUnlessKnown } from '../sql/recordUnlessKnown.js';
import { AttemptFault } from './attempt.js';
import { decide, type Decision } from './decide.js';
import { keysOf, toNewPurchase, toOutcomes, toPurchase } from './outcomes.js';
import type { Outcome, PurchaseRequest, Rules } from './types.js';

const uniqueViolation = '23505';
const nothingKnown: Pick<Recorded, 'known' | 'existing'> = { known: new Set(), existing: [] };

/** Requests of one event that go together. */
export interface FastBatch {
  readonly eventId: string;
  readonly requests: readonly PurchaseRequest[];
  /** Cached; the statement sells nothing if they have changed. */
  readonly rules: Rules;
  /** Whether keys are likely to be known: costs a little for each purchase, and saves a statement that fails. */
  readonly expectsReplays: boolean;
}

/** A batch, and what was decided on the suppositions. */
interface Plan extends FastBatch {
  readonly decisions: readonly Decision[];
  /** One for each request that was granted. */
  readonly purchases: readonly NewPurchase[];
  /** Of the requests that were not granted: a refusal rests on its key being unknown. */
  readonly moreKeys: readonly string[];
  readonly revision: number;
}

/**
 * @returns for each batch one outcome per request, durable; undefined if a supposition did not hold or nobody in it could be
 *   granted, and then nothing happened to it
 * @throws AttemptFault. Unless it is certain that nothing happened, it may even happen later: the statement needs nothing more
 *   from us, and may be waiting in a network or in a stopped backend, before it has any lock.
 */
export async function sellFast({ prisma }: Pool, batches: readonly FastBatch[]): Promise<(Outcome[] | undefined)[]> {
  const plans = batches.map(plan);
  const writing = plans.filter(({ purchases }) => purchases.length > 0);
  const recorded = writing.length > 0 ? await write(prisma, writing) : new Map<string, Recorded>();
  const answers: (Outcome[] | undefined)[] = [];
  for (const each of plans) {
    const own = recorded.get(each.eventId);
    if (each.requests.length === 0) answers.push([]);
    else answers.push(own && (await answer(prisma, each, own)));
  }
  return answers;
}

function plan(batch: FastBatch): Plan {
  const { requests, rules } = batch;
  const decisions = decide({ available: Infinity, rules }, [], requests);
  const purchases = requests.filter((_, index) => decisions[index]?.kind === 'grant').map(toNewPurchase);
  const refused = requests.filter((_, index) => decisions[index]?.kind !== 'grant' && decisions[index]?.kind !== 'repeat');
  return { ...batch, decisions, purchases, moreKeys: keysOf(refused), revision: rules.revision };
}

async function write(db: Queryable, plans: readonly Plan[]): Promise<ReadonlyMap<string, Recorded>> {
  const [only] = plans;
  try {
    if (plans.length > 1 || !only || only.expectsReplays || only.moreKeys.length > 0) return await recordUnlessKnown(db, plans);
    const createdAt = await recordPurchases(db, only.eventId, only.revision, only.purchases);
    return new Map(createdAt && [[only.eventId, { createdAt, ...nothingKnown }]]);
  } catch (cause) {
    const { sqlState, undone } = classify(cause);
    if (sqlState === uniqueViolation && only && !only.expectsReplays) {
      return write(db, [{ ...only, expectsReplays: true }]);
    }
    throw new AttemptFault(cause, undone ? 'not committed' : 'in doubt and unfenced');
  }
}

/** Decides once more where a key was known. One that was committed while the statement waited has to be read now. */
async function answer(db: Queryable, plan: Plan, recorded: Recorded): Promise<Outcome[]> {
  const { eventId, requests, rules, decisions, purchases, moreKeys } = plan;
  const { known, createdAt } = recorded;
  const written = new Map(purchases.filter(({ id }) => !known.has(id)).map((each) => [each.id, toPurchase(eventId, each, createdAt)]));
  if (known.size === 0 && moreKeys.length === 0) return toOutcomes(requests, decisions, written);
  try {
    const found = new Set(recorded.existing.map(({ idempotency }) => idempotency?.key));
    const unread = keysOf(requests.filter(({ purchaseId, idempotency }) => known.has(purchaseId) && !found.has(idempotency?.key)));
    const more = unread.length > 0 ? await readExisting(db, eventId, [], unread) : [];
    const existing = [...recorded.existing, ...more].filter(({ purchase }) => !written.has(purchase.id));
    return toOutcomes(requests, decide({ available: Infinity, rules }, existing, requests), written);
  } catch (cause) {
    throw new AttemptFault(cause, 'in doubt');
  }
}
