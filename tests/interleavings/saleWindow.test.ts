/**
 * Goal: a sale opens and ends at the second that its rules say, by the database's clock, also when they are changed during the sale
 * at another replica; and each purchase is held for as long as the rules say under which it was written.
 * Method: a session changes a rule, or the moment passes, while the statement of a replica waits for the event's row. The negative
 * control takes tickets as the sale does, without a look at the window. The clock of the process is set an hour off.
 */
import { afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { Pool } from '../../src/db/client.js';
import { sellFast } from '../../src/sale/fastPath.js';
import { sellLocked } from '../../src/sale/lockedPath.js';
import type { Outcome, PurchaseRequest, RuleChange } from '../../src/sale/types.js';
import { purchaseTime } from '../../src/sql/recordPurchases.js';
import { updateEvent } from '../../src/sql/updateEvent.js';
import { useDatabase } from '../support/database.js';
import { patientLimits } from '../support/pool.js';
import { type AnySale, batchedSale, expectConserved, newEvent, noRules, request } from '../support/sales.js';
import { hold, inOrder, lockEventRow, untilPassed, waitAcross } from './holds.js';
import { insertPurchase, type Session, take, withSessions } from './sessions.js';

const database = useDatabase();
let pool: Pool;
let sale: AnySale;

beforeAll(() => {
  pool = database.openPool(patientLimits);
  sale = database.closeLater(batchedSale(pool, { deadlineMs: 20_000 }));
});

const hourMs = 3_600_000;
const granted = { kind: 'granted', replayed: false };

/** This number of seconds from now, by the database's clock. */
async function inSeconds(seconds: number): Promise<Date> {
  const { rows } = await database.sql.query<{ at: Date }>(
    `SELECT date_trunc('milliseconds', clock_timestamp()) + make_interval(secs => $1) AS at`,
    [seconds],
  );
  return rows[0]!.at;
}

/** The columns of the rules that are changed here. */
type Columns = Partial<Record<'sale_starts_at' | 'sale_ends_at' | 'hold_seconds', Date | number | null>>;

/** Changes rules, as another replica would, while what the sale sent waits for the row. */
async function changeMeanwhile(eventId: string, change: Columns, wanted: PurchaseRequest): Promise<Outcome> {
  return withSessions(database.url, 1, async (session) => {
    await lockEventRow(session, eventId);
    const [outcome] = await inOrder(database, session.pid, [() => sale.sell(eventId, wanted)], async () => {
      for (const [column, value] of Object.entries(change)) {
        await session.query(`UPDATE events SET ${column} = $2, revision = revision + 1 WHERE id = $1`, [eventId, value]);
      }
      await session.query('COMMIT');
    });
    return outcome!;
  });
}

describe('a rule that is changed at another replica while a purchase waits binds that purchase:', () => {
  test.each<[string, (past: Date, future: Date) => Columns, object]>([
    ['the sale is ended', (past) => ({ sale_ends_at: past }), { kind: 'sale-ended' }],
    ['the start is put off', (_past, future) => ({ sale_starts_at: future }), { kind: 'sale-not-started' }],
    ['an end is set, and it is later', (_past, future) => ({ sale_ends_at: future }), granted],
    ['a start is set, and it is past', (past) => ({ sale_starts_at: past }), granted],
    ['purchases are held', () => ({ hold_seconds: 60 }), { ...granted, purchase: { status: 'held', ticketIds: [] } }],
  ])('%s', async (_name, change, answer) => {
    const eventId = await newEvent(pool, 100);
    await expect(sale.sell(eventId, request(1))).resolves.toMatchObject(granted);
    const columns = change(await inSeconds(-60), await inSeconds(3_600));
    await expect(changeMeanwhile(eventId, columns, request(2))).resolves.toMatchObject(answer);
    const isHeld = 'hold_seconds' in columns;
    await expectConserved(pool, eventId, answer === granted ? 3 : 1, isHeld ? 2 : 0);
  });

  test.each<[string, number | null, object]>([
    ['they are held for longer', 120, { status: 'held' }],
    ['they are confirmed at once', null, { status: 'confirmed', expiresAt: null, ticketIds: { length: 2 } }],
  ])('%s, and what was granted before keeps its time', async (_name, holdSeconds, purchase) => {
    const eventId = await newEvent(pool, 100, 10, { holdSeconds: 60 });
    const first = await sale.sell(eventId, request(1));
    const outcome = await changeMeanwhile(eventId, { hold_seconds: holdSeconds }, request(2));
    expect(outcome).toMatchObject({ ...granted, purchase });
    for (const [each, seconds] of [
      [first, 60],
      [outcome, holdSeconds],
    ] as const) {
      if (each.kind !== 'granted' || seconds === null) continue;
      const { rows } = await database.sql.query(
        'SELECT expires_at, expires_at - created_at = make_interval(secs => $2) AS exact FROM purchases WHERE id = $1',
        [each.purchase.id, seconds],
      );
      expect(rows).toEqual([{ expires_at: each.purchase.expiresAt, exact: true }]);
    }
    await expectConserved(pool, eventId, holdSeconds === null ? 2 : 0, holdSeconds === null ? 1 : 3);
  });

  test.each<[string, (past: Date, future: Date) => [RuleChange, RuleChange], string]>([
    ['an ended sale that is resumed', (past, future) => [{ saleEndsAt: past }, { saleEndsAt: future }], 'sale-ended'],
    ['an ended sale whose end is taken away', (past) => [{ saleEndsAt: past }, { saleEndsAt: null }], 'sale-ended'],
    ['a sale that is opened early', (_past, future) => [{ saleStartsAt: future }, { saleStartsAt: null }], 'sale-not-started'],
  ])('%s sells to the next request, on the replica that has refused everybody until then', async (_name, rules, refusal) => {
    const eventId = await newEvent(pool, 100);
    const [closed, open] = rules(await inSeconds(-60), await inSeconds(3_600));
    await updateEvent(pool.prisma, eventId, closed);
    for (let times = 0; times < 3; times += 1) await expect(sale.sell(eventId, request(1))).resolves.toMatchObject({ kind: refusal });
    await updateEvent(pool.prisma, eventId, open);
    await expect(sale.sell(eventId, request(1))).resolves.toMatchObject(granted);
    await expectConserved(pool, eventId, 1);
  });
});

test.each([
  ['the sale, on either path, sells nothing', false],
  ['one that looks at the revision alone sells (negative control)', true],
])('before the start and after the end, %s', async (_what, unguarded) => {
  const [past, future] = [await inSeconds(-60), await inSeconds(3_600)];
  for (const window of [{ saleStartsAt: future }, { saleEndsAt: past }]) {
    const eventId = await newEvent(pool, 100, 10, window);
    // As a replica would that has learnt the revision, and not the window.
    const rules = { ...noRules, maxPurchaseLimit: 10, revision: 1 };
    if (unguarded) {
      await withSessions(database.url, 1, (session) => sellByRevision(session, eventId, rules.revision));
    } else {
      for (const expectsReplays of [false, true]) {
        await expect(sellFast(pool, [{ eventId, requests: [request(1)], rules, expectsReplays }])).resolves.toEqual([undefined]);
      }
      const { outcomes } = await sellLocked(pool, eventId, [request(1)], false);
      expect(outcomes).toMatchObject([{ kind: 'saleEndsAt' in window ? 'sale-ended' : 'sale-not-started' }]);
    }
    await expectConserved(pool, eventId, unguarded ? 1 : 0);
  }
});

/** The wrong variant. */
async function sellByRevision(session: Session, eventId: string, revision: number): Promise<void> {
  await session.query('BEGIN');
  const { rowCount } = await session.query('SELECT FROM events WHERE id = $1 AND available >= 1 AND revision = $2 FOR NO KEY UPDATE', [
    eventId,
    revision,
  ]);
  if (rowCount === 1) {
    await take(session, eventId, 1);
    await insertPurchase(session, eventId, request(1));
  }
  await session.query('COMMIT');
}

describe('the moment passes while a batch waits for the row:', () => {
  test('on the locked path the sale has ended by then, and what the batch gives back is given back', async () => {
    const { eventId, outcomes } = await waitAcross(database, async (holder, seconds) => {
      const id = await newEvent(pool, 100, 10, { holdSeconds: 600 });
      const [held] = await hold(sale, id, 3);
      const moment = await inSeconds(seconds);
      await updateEvent(pool.prisma, id, { saleEndsAt: moment });
      await lockEventRow(holder, id);
      const wanted = [request(2), { kind: 'release', purchaseId: held!, asBuyer: undefined } as const];
      const work = async () => ({ eventId: id, ...(await sellLocked(pool, id, wanted, false)) });
      return { moment, work };
    });
    expect(outcomes).toMatchObject([{ kind: 'sale-ended' }, { kind: 'settled', purchase: { status: 'released' } }]);
    await expectConserved(pool, eventId, 0);
  });

  test('on the fast path a purchase that came before the end is one of before the end', async () => {
    const { eventId, moment, outcome } = await waitAcross(database, async (holder, seconds) => {
      const id = await newEvent(pool, 100);
      const end = await inSeconds(seconds);
      await updateEvent(pool.prisma, id, { saleEndsAt: end });
      await sale.sell(id, request(1)); // and so the replica learns the end
      await lockEventRow(holder, id);
      return { moment: end, work: async () => ({ eventId: id, moment: end, outcome: await sale.sell(id, request(2)) }) };
    });
    expect(outcome.kind === 'granted' && outcome.purchase.createdAt < moment).toBe(true);
    await expect(sale.sell(eventId, request(1))).resolves.toEqual({ kind: 'sale-ended' });
    await expectConserved(pool, eventId, 3);
  });

  test('a purchase that came before the start is refused as one of before the start, and the next one is sold', async () => {
    const { eventId, moment, outcome } = await waitAcross(database, async (holder, seconds) => {
      const id = await newEvent(pool, 100);
      await sale.sell(id, request(1));
      const start = await inSeconds(seconds);
      // Not by a new revision: the replica takes the sale for open, and has to find out from the row.
      await database.sql.query('UPDATE events SET sale_starts_at = $2 WHERE id = $1', [id, start]);
      await lockEventRow(holder, id);
      return { moment: start, work: async () => ({ eventId: id, moment: start, outcome: await sale.sell(id, request(2)) }) };
    });
    expect(outcome).toMatchObject({ kind: 'sale-not-started', saleStartsAt: moment });
    const next = await sale.sell(eventId, request(2));
    expect(next.kind === 'granted' && next.purchase.createdAt >= moment).toBe(true);
    await expectConserved(pool, eventId, 3);
  });
});

describe.each([
  ['an hour fast', hourMs],
  ['an hour slow', -hourMs],
])('on a replica whose clock is %s,', (_name, offMs) => {
  afterEach(() => {
    jest.restoreAllMocks();
  });

  /** Sells one ticket after another until an outcome is of this kind. @returns the granted ones before it, and that one */
  async function sellUntil(eventId: string, kind: Outcome['kind']): Promise<Outcome[]> {
    const outcomes: Outcome[] = [];
    do outcomes.push(await sale.sell(eventId, request(1)));
    while (outcomes.at(-1)!.kind !== kind);
    return outcomes;
  }

  test('not one ticket is sold early or late', async () => {
    const now = Date.now.bind(Date);
    jest.spyOn(Date, 'now').mockImplementation(() => now() + offMs);
    const [start, end] = [await inSeconds(1), await inSeconds(2)];
    const eventId = await newEvent(pool, 100_000, 10, { saleStartsAt: start, saleEndsAt: end });
    const waiting = await sellUntil(eventId, 'granted');
    const selling = await sellUntil(eventId, 'sale-ended');
    expect(new Set(waiting.slice(0, -1).map(({ kind }) => kind))).toEqual(new Set(['sale-not-started']));
    const sold = [waiting.at(-1)!, ...selling.slice(0, -1)];
    for (const outcome of sold) {
      expect(outcome.kind === 'granted' && outcome.purchase.createdAt >= start && outcome.purchase.createdAt < end).toBe(true);
    }
    await expectConserved(pool, eventId, sold.length);
  });

  test('a hold lasts as long as the event says', async () => {
    const now = Date.now.bind(Date);
    jest.spyOn(Date, 'now').mockImplementation(() => now() + offMs);
    const eventId = await newEvent(pool, 10, 10, { holdSeconds: 10 });
    const [confirmed, expired] = await hold(sale, eventId, 2, 3);
    await expect(sale.confirm({ kind: 'confirm', eventId, purchaseId: confirmed! })).resolves.toMatchObject({ kind: 'settled' });
    const { rows } = await database.sql.query<{ at: Date; exact: boolean }>(
      `UPDATE purchases SET expires_at = clock_timestamp() + interval '0.3 s' WHERE id = $1
       RETURNING expires_at AS at, old.expires_at - created_at = interval '10 s' AS exact`,
      [expired],
    );
    expect(rows[0]!.exact).toBe(true);
    await untilPassed(database, rows[0]!.at);
    await expect(sale.confirm({ kind: 'confirm', eventId, purchaseId: expired! })).resolves.toEqual({ kind: 'hold-expired' });
    await expectConserved(pool, eventId, 2);
  });
});

test('the time of a purchase is never later than the statement that makes it, so the last one of a sale is not made at its end', async () => {
  for (let round = 0; round < 20; round += 1) {
    const [row] = await pool.prisma.$queryRaw<{ cut: boolean }[]>`
      SELECT ${purchaseTime}::timestamptz(3) <= statement_timestamp() AS cut`;
    expect(row?.cut).toBe(true);
  }
});
