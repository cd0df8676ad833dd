/**
 * The fast path, for the normal case. It decides by the cached rules, assumes that the sale is open, that enough tickets are
 * available, that no key is known and that no buyer has any tickets yet, and lets one statement check the assumptions and write
 * everything. The statement is a transaction by itself and the only round trip. Batches of several events that wait for a connection
 * share one statement, because the number of statements determines the cost.
 *
 * What was tried instead, with its figures, stands in sql/recordPurchases.ts.
 */
import type { Pool, Queryable } from '../db/client.js';
import { classify, violates } from '../db/faults.js';
import { lockPurchases } from '../sql/lockPurchases.js';
import { type NewPurchase, recordPurchases } from '../sql/recordPurchases.js';
import { recordSeveral } from '../sql/recordSeveral.js';
import { type Recorded, recordUnlessKnown } from '../sql/recordUnlessKnown.js';
import { AttemptFault } from './attempt.js';
import { decide, type Decision } from './decide.js';
import { keysOf, toNewPurchases, toOutcomes, toPurchase } from './outcomes.js';
import type { EventRequest, EventState, Outcome, Rules } from './types.js';

const uniqueViolation = '23505';
const buyerLimit = 'buyer_totals_within_limit';
const nothingKnown: Omit<Recorded, 'createdAt'> = { known: new Set(), existing: [], dueKeys: [] };

/** Requests of one event that share a statement. */
export interface FastBatch {
  readonly eventId: string;
  readonly requests: readonly EventRequest[];
  /** The cached rules; the statement sells nothing if they have changed. */
  readonly rules: Rules;
  /** Whether keys are likely to be known. It adds a small cost per purchase and avoids a statement that fails. */
  readonly expectsReplays: boolean;
}

/** A batch with the decisions under the assumptions. */
interface Plan extends FastBatch {
  readonly decisions: readonly Decision[];
  /** One per granted request. */
  readonly purchases: readonly NewPurchase[];
  /** Keys of the refused requests: a refusal holds only if its key is unknown. */
  readonly moreKeys: readonly string[];
  readonly revision: number;
}

/**
 * @returns for each batch one durable outcome per request; undefined if an assumption did not hold or no request could be granted:
 *   then nothing was written for that batch
 * @throws AttemptFault. Unless it certainly did not commit, the statement may still commit later: it needs nothing more from
 *   the replica, and may be waiting in the network or in a stopped backend, before it holds any lock
 */
export async function sellFast({ prisma }: Pool, batches: readonly FastBatch[]): Promise<(Outcome[] | undefined)[]> {
  const plans = batches.map(plan);
  const recorded = await write(
    prisma,
    plans.filter(({ purchases }) => purchases.length > 0),
  );
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
  const decisions = decide(assumed(rules), [], requests);
  // A refusal for the buyer's total must state what remains, which depends on tickets that the buyer may have.
  const isDecided = decisions.every(({ kind }) => kind !== 'buyer-limit-exceeded');
  const purchases = isDecided ? toNewPurchases(requests, decisions, rules) : [];
  const refused =
    purchases.length === requests.length
      ? []
      : requests.filter((_, index) => decisions[index]?.kind !== 'grant' && decisions[index]?.kind !== 'repeat');
  return { ...batch, decisions, purchases, moreKeys: keysOf(refused), revision: rules.revision };
}

function assumed(rules: Rules): EventState {
  return { available: Infinity, held: 0, phase: 'open', startsInSeconds: null, rules, buyerTotals: new Map() };
}

/**
 * One of three statements: for one event, for several, and for keys that may be known. The first two fail on a known key, and all
 * of them if a buyer would have too many tickets: then nothing was written for any event.
 */
async function write(
  db: Queryable,
  plans: readonly Plan[],
  lookUpKeys = plans.some(mayMeetKnownKeys),
): Promise<ReadonlyMap<string, Recorded>> {
  const [only] = plans;
  if (!only) return new Map();
  try {
    if (lookUpKeys) return await recordUnlessKnown(db, plans);
    if (plans.length > 1) return withNothingKnown(await recordSeveral(db, plans));
    const createdAt = await recordPurchases(db, only.eventId, only.revision, only.purchases);
    return withNothingKnown(new Map(createdAt && [[only.eventId, createdAt]]));
  } catch (cause) {
    const { sqlState, undone } = classify(cause);
    if (sqlState === uniqueViolation && !lookUpKeys) return write(db, plans, true);
    if (violates(cause, buyerLimit)) return write(db, plans.filter(hasNoBuyerLimit), lookUpKeys);
    throw new AttemptFault(cause, undone ? 'not committed' : 'in doubt and unfenced');
  }
}

/** A buyer at the limit of one event must not send the events without such a limit that shared the statement to the locked path. */
function hasNoBuyerLimit({ rules }: Plan): boolean {
  return rules.maxPerBuyer === null;
}

function mayMeetKnownKeys({ expectsReplays, moreKeys }: Plan): boolean {
  return expectsReplays || moreKeys.length > 0;
}

function withNothingKnown(soldAt: ReadonlyMap<string, Date>): ReadonlyMap<string, Recorded> {
  return new Map([...soldAt].map(([eventId, createdAt]) => [eventId, { createdAt, ...nothingKnown }]));
}

/** Decides again if a key was known. A purchase that was committed while the statement waited must be read separately. */
async function answer(db: Queryable, plan: Plan, recorded: Recorded): Promise<Outcome[]> {
  const { eventId, requests, rules, decisions, purchases, moreKeys } = plan;
  const { known, createdAt, dueKeys } = recorded;
  if (known.size === 0 && purchases.length === requests.length) {
    return purchases.map((each) => ({ kind: 'granted', purchase: toPurchase(eventId, each, rules, createdAt), replayed: false }));
  }
  const written = new Map(
    purchases.filter(({ id }) => !known.has(id)).map((each) => [each.id, toPurchase(eventId, each, rules, createdAt)]),
  );
  if (known.size === 0 && moreKeys.length === 0) return toOutcomes(requests, decisions, written);
  try {
    const found = new Set(recorded.existing.map(({ idempotency }) => idempotency?.key));
    const missing = requests.filter((each) => known.has(each.purchaseId) && keysOf([each]).every((key) => !found.has(key)));
    const unread = [...new Set([...keysOf(missing), ...dueKeys])];
    const more = unread.length > 0 ? (await lockPurchases(db, eventId, { keys: unread })).purchases : [];
    const existing = [...recorded.existing, ...more].filter(({ purchase }) => !written.has(purchase.id));
    return toOutcomes(requests, decide(assumed(rules), existing, requests), written);
  } catch (cause) {
    throw new AttemptFault(cause, 'in doubt');
  }
}
