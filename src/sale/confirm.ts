/**
 * Confirmation: a hold becomes a confirmed purchase with tickets. It takes nothing from the event, because the hold already did, so
 * it needs no lock on the event's row and does not wait for the sale. Confirmations of all events share one statement: group
 * commit again.
 *
 * Repeating a confirmation is safe without any bookkeeping: whatever an earlier attempt did is the status of the purchase, and one
 * that arrives late finds the hold confirmed, or its time over.
 */
import type { Pool, Queryable } from '../db/client.js';
import { classify } from '../db/faults.js';
import { type Confirmation, confirmPurchases } from '../sql/confirmPurchases.js';
import { readPurchase } from '../sql/readPurchase.js';
import { type Attempt, AttemptFault } from './attempt.js';
import type { AttemptServer } from './batch.js';
import { decideConfirmation } from './decide.js';
import { newNumberableId } from './ids.js';
import type { PathObserver } from './pathChoice.js';
import type { ConfirmRequest, Outcome } from './types.js';

export class Confirmations implements AttemptServer<ConfirmRequest> {
  readonly #pool: Pool;
  readonly #observer: PathObserver;

  constructor(pool: Pool, observer: PathObserver) {
    this.#pool = pool;
    this.#observer = observer;
  }

  async serve(attempt: Attempt<ConfirmRequest>): Promise<readonly Outcome[]> {
    const requests = attempt.begin('confirm');
    if (requests.length === 0) return [];
    const beganAtMs = performance.now();
    try {
      return await confirm(this.#pool.prisma, requests);
    } catch (cause) {
      throw new AttemptFault(cause, classify(cause).undone ? 'not committed' : 'in doubt');
    } finally {
      this.#observer.ended('confirm', performance.now() - beganAtMs);
    }
  }
}

/** @returns one durable outcome per request, in order */
async function confirm(db: Queryable, requests: readonly ConfirmRequest[]): Promise<Outcome[]> {
  const asked = new Map<string, Confirmation>();
  const keys = requests.map(({ eventId, purchaseId }) => {
    const key = `${eventId}/${purchaseId}`;
    if (!asked.has(key)) asked.set(key, { eventId, purchaseId, firstTicketId: newNumberableId() });
    return key;
  });
  const found = new Map<string, Outcome>();
  for (const { ticketIds, ...purchase } of await confirmPurchases(db, [...asked.values()])) {
    if (ticketIds) found.set(`${purchase.eventId}/${purchase.id}`, decideConfirmation({ ...purchase, ticketIds }));
  }
  return Promise.all(requests.map(async (request, index) => found.get(keys[index] ?? '') ?? readOne(db, request)));
}

/** Missing, which a fence must prove; or confirmed by another session just before, whose tickets this reads. */
async function readOne(db: Queryable, { eventId, purchaseId }: ConfirmRequest): Promise<Outcome> {
  const read = await readPurchase(db, eventId, purchaseId);
  return read ? decideConfirmation(read) : { kind: 'purchase-not-found' };
}
