/**
 * Goal: what became of an attempt whose connection was lost is found out behind the event's row lock, and never by looking.
 * Method: a commit that is stuck, and can still go either way. A deferred trigger makes every commit of this database that
 * wrote a purchase pass a gate, an advisory lock that the test opens and closes. The client gives up its connection
 * meanwhile; the server goes on. To look for the purchase without the lock is the wrong variant.
 */
import { afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Pool } from '../../src/db/client.js';
import type { Outcome, PurchaseRequest } from '../../src/sale/types.js';
import type { Doubt } from '../../src/sale/attempt.js';
import { sellLocked } from '../../src/sale/lockedPath.js';
import { readPurchase } from '../../src/sql/readPurchase.js';
import { useDatabase } from '../support/database.js';
import { patientLimits } from '../support/pool.js';
import { attemptFast, expectConserved, batchedSale, newEvent, request } from '../support/sales.js';
import { later, openSession, type Session, untilBlockedBy, untilGone } from './sessions.js';

const database = useDatabase();
/** Waits as long as a test takes. */
let patient: Pool;
/** Gives its connection up soon after a commit is stuck. */
let hasty: Pool;
let gate: Session;

const gateLock = 1;

beforeAll(async () => {
  await database.sql.query(`
    CREATE FUNCTION pass_gate() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_advisory_xact_lock_shared(${String(gateLock)}); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER pass_gate AFTER INSERT ON purchases
      DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pass_gate()`);
  patient = database.openPool(patientLimits);
  hasty = database.openPool({ ...patientLimits, clientDeadlineMs: 300 });
});

beforeEach(async () => {
  gate = await openSession(database.url);
});
afterEach(async () => {
  await gate.end();
});

const closeGate = () => gate.query('SELECT pg_advisory_lock($1)', [gateLock]);
const openGate = () => gate.query('SELECT pg_advisory_unlock($1)', [gateLock]);

type Attempt = (eventId: string, wanted: PurchaseRequest) => Promise<Outcome[] | undefined>;
const attempts: [string, Attempt, Doubt][] = [
  ['a locked attempt', async (eventId, wanted) => (await sellLocked(hasty, eventId, [wanted], false)).outcomes, 'in doubt'],
  ['a fast attempt', (eventId, wanted) => attemptFast(hasty, eventId, [wanted]), 'in doubt and unfenced'],
];

/** An attempt whose commit is stuck, and whose connection is lost. @returns the session that is still at it */
async function getStuck(attempt: Attempt, eventId: string, wanted: PurchaseRequest, doubt: Doubt): Promise<number> {
  await closeGate();
  const lost = later(attempt(eventId, wanted));
  const stuck = await untilBlockedBy(database.sql, gate.pid);
  await expect(lost).rejects.toMatchObject({ name: 'AttemptFault', doubt });
  return stuck;
}

const sellOnLock = async (eventId: string, wanted: PurchaseRequest) => (await sellLocked(patient, eventId, [wanted], true)).outcomes;

/** The wrong variant: after a lost connection, look for the purchase, and if it is not there, say that nothing was bought. */
async function resolveByLooking(eventId: string, { purchaseId }: PurchaseRequest): Promise<'bought' | 'nothing was bought'> {
  return (await readPurchase(patient.prisma, eventId, purchaseId)) ? 'bought' : 'nothing was bought';
}

test.each(attempts)('who looks after %s without the lock is wrong, and the buyer pays twice', async (_name, attempt, doubt) => {
  const eventId = await newEvent(patient, 10);
  const wanted = request(2);
  const stuck = await getStuck(attempt, eventId, wanted, doubt);
  await expect(resolveByLooking(eventId, wanted)).resolves.toBe('nothing was bought');

  // So the buyer buys again, with no key, because nothing was bought.
  const again = later(sellOnLock(eventId, request(2)));
  await untilBlockedBy(database.sql, stuck);
  await openGate();
  await expect(again).resolves.toMatchObject([{ kind: 'granted' }]);
  await expect(resolveByLooking(eventId, wanted)).resolves.toBe('bought');
  await expectConserved(patient, eventId, 4);
});

test.each(attempts)('the same batch again after %s waits for it, and finds what it bought', async (_name, attempt, doubt) => {
  const eventId = await newEvent(patient, 10);
  const wanted = request(2);
  const stuck = await getStuck(attempt, eventId, wanted, doubt);
  const again = later(sellOnLock(eventId, wanted));
  await untilBlockedBy(database.sql, stuck);
  await openGate();
  const [outcome] = await again;
  const purchase = await readPurchase(patient.prisma, eventId, wanted.purchaseId);
  expect(outcome).toEqual({ kind: 'granted', purchase, replayed: false });
  await expectConserved(patient, eventId, 2);
});

test.each(attempts)('the same batch again after %s that is ended at its commit sells afresh', async (_name, attempt, doubt) => {
  const eventId = await newEvent(patient, 10);
  const wanted = request(2);
  const stuck = await getStuck(attempt, eventId, wanted, doubt);
  const again = later(sellOnLock(eventId, wanted));
  const waiting = await untilBlockedBy(database.sql, stuck);
  await database.sql.query('SELECT pg_terminate_backend($1)', [stuck]);
  await untilGone(database.sql, stuck);
  // The lock is the second attempt's, which comes to the gate in its turn: the first can never happen any more.
  await expect(untilBlockedBy(database.sql, gate.pid)).resolves.toBe(waiting);
  await openGate();
  await expect(again).resolves.toMatchObject([{ kind: 'granted', purchase: { id: wanted.purchaseId }, replayed: false }]);
  await expectConserved(patient, eventId, 2);
});

test('the sale loses its connection at the commit, waits behind it, and answers with what it bought', async () => {
  const eventId = await newEvent(patient, 10);
  const sale = batchedSale(hasty, { deadlineMs: 20_000 });
  await closeGate();
  const wanted = request(2, 'key');
  const selling = later(sale.sell(eventId, wanted));
  const stuck = await untilBlockedBy(database.sql, gate.pid);
  await untilBlockedBy(database.sql, stuck); // the second attempt
  await expect(resolveByLooking(eventId, wanted)).resolves.toBe('nothing was bought');
  await openGate();
  await expect(selling).resolves.toMatchObject({ kind: 'granted', purchase: { id: wanted.purchaseId }, replayed: false });
  await expect(sale.sell(eventId, request(2, 'key'))).resolves.toMatchObject({
    kind: 'granted',
    purchase: { id: wanted.purchaseId },
    replayed: true,
  });
  await sale.close();
  await expectConserved(patient, eventId, 2);
});

test('past the deadline the outcome is unknown, never "failed", and the key tells later', async () => {
  const eventId = await newEvent(patient, 10);
  const sale = batchedSale(hasty, { deadlineMs: 1_000 });
  await closeGate();
  const wanted = request(2, 'key');
  const outcome = await sale.sell(eventId, wanted);
  expect(outcome).toMatchObject({ kind: 'outcome-unknown', purchaseId: wanted.purchaseId });
  await expect(resolveByLooking(eventId, wanted)).resolves.toBe('nothing was bought');

  await openGate();
  const replica = batchedSale(patient);
  await expect(replica.sell(eventId, request(2, 'key'))).resolves.toMatchObject({
    kind: 'granted',
    purchase: { id: wanted.purchaseId },
    replayed: true,
  });
  await expect(resolveByLooking(eventId, wanted)).resolves.toBe('bought');
  await Promise.all([sale.close(), replica.close()]);
  await expectConserved(patient, eventId, 2);
});
