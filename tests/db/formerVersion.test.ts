/**
 * Goal: the migrations of holds, windows and buyers only add. Replicas of the version before go on selling while they run and
 * afterwards, beside replicas of this version, on events that use nothing of what is new.
 * Method: a database with the former schema and rows in it; the former statements on open sessions with prepared statements,
 * before, during and after the migration, and the sale of this version beside them after it.
 */
import { expect, test } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { migrate } from '../../src/db/migrate.js';
import { readPurchase } from '../../src/sql/readPurchase.js';
import { useDatabase } from '../support/database.js';
import { insertEvents } from '../support/events.js';
import { patientLimits } from '../support/pool.js';
import { batchedSale, expectConserved, request } from '../support/sales.js';
import { fingerprintOf, type FormerPurchase, FormerSession, migrateToFormerVersion } from './formerVersion.js';

const database = useDatabase({ empty: true });
const quota = 100_000;

/** One session of the former version, which sells in every way that it had, without a pause. */
class FormerSeller {
  readonly sold = new Map<string, FormerPurchase[]>();
  rounds = 0;
  #ending = false;
  readonly #ended: Promise<void>;

  constructor(
    readonly session: FormerSession,
    readonly events: readonly string[],
  ) {
    for (const eventId of events) this.sold.set(eventId, []);
    this.#ended = this.#sell();
    this.#ended.catch(() => undefined); // `end` throws it
  }

  async #sell(): Promise<void> {
    while (!this.#ending) {
      for (const eventId of this.events) {
        const { revision } = await this.session.readEvent(eventId);
        const own = this.sold.get(eventId)!;
        const bought = [await this.session.buy(eventId, revision, 1), await this.session.buyLocked(eventId, 2)];
        own.push(...bought.filter((purchase) => purchase !== undefined));
        expect(await this.session.find(eventId, [own.at(-1)!.key])).toMatchObject([own.at(-1)!]);
        if (this.rounds % 10 === 0) await this.session.changeLimit(eventId, 4 + (this.rounds % 3));
      }
      this.rounds += 1;
    }
  }

  async untilRounds(more: number): Promise<void> {
    const goal = this.rounds + more;
    while (this.rounds < goal) await Promise.race([pause(5), this.#ended]);
  }

  async end(): Promise<void> {
    this.#ending = true;
    await this.#ended;
  }
}

/** A migration that gets no lock in time has changed nothing, and is run again. */
async function migrateAsADeploymentDoes(): Promise<string[]> {
  for (;;) {
    try {
      return await migrate(database.url);
    } catch (error) {
      if (!String(error).includes('lock timeout')) throw error;
    }
  }
}

test('the former version sells before, during and after the migration, and beside this version, and nothing gets lost', async () => {
  const added = await migrateToFormerVersion(database.sql);
  expect(added.length).toBeGreaterThan(0);
  const events = (
    await insertEvents(
      (statement, values) => database.sql.query(statement, values),
      [
        { quota, limit: 10 },
        { quota, limit: 10 },
      ],
    )
  ).map(({ id }) => id);
  const sellers = await Promise.all(
    Array.from({ length: 3 }, async () => new FormerSeller(database.closeLater(await FormerSession.open(database.url)), events)),
  );
  await Promise.all(sellers.map((seller) => seller.untilRounds(10)));
  const before = new Map(events.map((eventId) => [eventId, sellers.flatMap(({ sold }) => [...sold.get(eventId)!])]));

  expect(await migrateAsADeploymentDoes()).toEqual(added);
  await Promise.all(sellers.map((seller) => seller.untilRounds(10)));

  const pool = database.openPool(patientLimits);
  const sale = database.closeLater(batchedSale(pool, { queueWaitMs: 20_000, deadlineMs: 20_000 }));
  const sold = new Map<string, number>(events.map((eventId) => [eventId, 0]));
  const besides = Promise.all(sellers.map((seller) => seller.untilRounds(20)));
  for (let round = 0; round < 20; round += 1) {
    for (const eventId of events) {
      const outcomes = await Promise.all(
        [1, 2, 1].map((quantity) => sale.sell(eventId, request(quantity, `${eventId} ${String(round)} ${String(quantity)}`))),
      );
      expect(outcomes.map(({ kind }) => kind)).toEqual(['granted', 'granted', 'granted']);
      sold.set(eventId, sold.get(eventId)! + 3);
    }
  }
  await besides;
  await Promise.all(sellers.map((seller) => seller.end()));

  for (const eventId of events) {
    const formers = sellers.flatMap((seller) => seller.sold.get(eventId)!);
    const total = sold.get(eventId)! + formers.reduce((sum, { quantity }) => sum + quantity, 0);
    await expectConserved(pool, eventId, total);
    expect((await sellers[0]!.session.readEvent(eventId)).available).toBe(quota - total);
    // What was sold before the migration, and what was sold after it, in the eyes of this version.
    for (const { id, key, quantity, ticketIds } of [...before.get(eventId)!.slice(0, 5), ...formers.slice(-5)]) {
      const purchase = { id, quantity, ticketIds, status: 'confirmed', buyerId: null, reference: null, expiresAt: null };
      expect(await readPurchase(pool.prisma, eventId, id)).toMatchObject(purchase);
      const again = { ...request(quantity), idempotency: { key, fingerprint: fingerprintOf(quantity) } };
      expect(await sale.sell(eventId, again)).toMatchObject({ kind: 'granted', replayed: true, purchase });
    }
    // And the other way round.
    const key = `${eventId} 19 2`;
    expect(await sellers[0]!.session.find(eventId, [key])).toMatchObject([
      { key, quantity: 2, ticketIds: [expect.any(String), expect.any(String)] },
    ]);
  }
});
