/**
 * Goal: whatever the rules of an event are, and whatever its buyers, its seller and the time do, a sale answers each request as one
 * that serves a request at a time would: the whole sale, and each path by itself.
 * Method: random histories, each played on the plain sale and on all others, every one with an event of its own. Time passes by
 * moving the times of holds into the past, in every event alike.
 */
import { beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Pool } from '../../src/db/client.js';
import { type EventRequest, type Outcome, refusalKinds } from '../../src/sale/types.js';
import { auditEvent } from '../../src/sql/auditEvent.js';
import { updateEvent } from '../../src/sql/updateEvent.js';
import { useDatabase } from '../support/database.js';
import { patientLimits } from '../support/pool.js';
import { type AnySale, batchedSale, expectConserved, newEvent, request } from '../support/sales.js';
import { everyOutcome, expiredHolds, history, nthOfAllMin, type Step, twiceAtOnce, windows, type Wish } from './historySteps.js';
import { type PathSale, pathSale } from './pathSale.js';
import { plainSale } from './plainSale.js';

const database = useDatabase();
/** `CONTRACT_RUNS=500` looks longer. */
const runs = Number(process.env['CONTRACT_RUNS'] ?? 12);
const patient = { queueWaitMs: 20_000, deadlineMs: 20_000 };
let pool: Pool;
let reference: AnySale;
let onPaths: [PathSale, PathSale, PathSale];
let subjects: readonly (readonly [name: string, sale: AnySale])[];

beforeAll(() => {
  pool = database.openPool(patientLimits);
  reference = database.closeLater(plainSale(pool));
  onPaths = [pathSale(pool, 'fast'), pathSale(pool, 'fast', true), pathSale(pool, 'snapshot')];
  subjects = [
    ['group commit', batchedSale(pool, patient)],
    ['group commit in batches of two', batchedSale(pool, { ...patient, batchRequestsMax: 2 })],
    ['the fast path', onPaths[0]],
    ['the fast path that looks keys up', onPaths[1]],
    ['the snapshot path', onPaths[2]],
    ['the locked path', pathSale(pool, 'locked')],
  ];
  for (const [, sale] of subjects) database.closeLater(sale);
});

/** A history as it goes on at one sale. */
interface Course {
  readonly sale: AnySale;
  readonly eventId: string;
  /** The ids of all requests to buy, in their order. */
  readonly ids: string[];
  /** Of those, the ids of the requests that were granted. */
  readonly granted: string[];
  /** Buyers who were refused for their total: the sale serves them beside the others, in an order that nobody promises. */
  readonly atLimit: Set<string>;
}

/** An outcome without what differs between two sales of the same history: ids and times. */
function shape(outcome: Outcome, ids: readonly string[]): unknown {
  if (outcome.kind === 'sale-not-started') return { ...outcome, startsInSeconds: outcome.startsInSeconds > 3_000 };
  if (outcome.kind !== 'granted' && outcome.kind !== 'settled') return outcome;
  const { id, createdAt, expiresAt, ticketIds, ...rest } = outcome.purchase;
  const holdMs = expiresAt && expiresAt.getTime() - createdAt.getTime();
  const isSorted = ticketIds.every((ticket, index) => index === 0 || ticketIds[index - 1]! < ticket);
  return {
    ...outcome,
    purchase: { ...rest, eventId: undefined, request: ids.indexOf(id), holdMs, tickets: new Set(ticketIds).size, isSorted },
  };
}

function idOf({ ids, granted }: Course, nth: number): string {
  const among = nth < nthOfAllMin ? granted : ids;
  return among[nth % among.length] ?? '019aab5c-4c2e-7d0b-9a52-0d7f3a9c1e44';
}

function toRequest(course: Course, wish: Wish): EventRequest {
  if (wish.do !== 'buy') return { kind: wish.do, purchaseId: idOf(course, wish.nth), asBuyer: wish.asBuyer };
  const { quantity, key, buyer: buyerId, reference: ofBuyer, isKnown } = wish;
  const buying = request(quantity, key, { buyerId, reference: ofBuyer });
  return { ...buying, asBuyer: isKnown && buyerId !== null ? buyerId : undefined };
}

/** The wishes in groups that can be sent at once: each of a buyer at the limit is a group of its own. */
function groupsOf(requests: readonly EventRequest[], atLimit: ReadonlySet<string>): EventRequest[][] {
  const groups: EventRequest[][] = [[]];
  for (const each of requests) {
    const isAlone = each.kind === 'buy' && each.buyerId !== null && atLimit.has(each.buyerId);
    if (isAlone) groups.push([each], []);
    else groups.at(-1)!.push(each);
  }
  return groups;
}

async function playCrowd(course: Course, wishes: readonly Wish[]): Promise<Outcome[]> {
  const { sale, eventId, ids, granted, atLimit } = course;
  const requests = wishes.map((wish) => toRequest(course, wish));
  for (const each of requests) if (each.kind === 'buy') ids.push(each.purchaseId);
  const outcomes: Outcome[] = [];
  for (const group of groupsOf(requests, atLimit)) outcomes.push(...(await Promise.all(group.map((each) => sale.sell(eventId, each)))));
  for (const [index, outcome] of outcomes.entries()) {
    const each = requests[index]!;
    if (each.kind !== 'buy') continue;
    if (outcome.kind === 'granted' && !outcome.replayed) granted.push(each.purchaseId);
    if (outcome.kind === 'buyer-limit-exceeded') atLimit.add(each.buyerId!);
  }
  return outcomes;
}

async function play(course: Course, what: Step): Promise<unknown> {
  const { sale, eventId, ids } = course;
  switch (what.do) {
    case 'at once':
      return (await playCrowd(course, what.wishes)).map((outcome) => shape(outcome, ids));
    case 'confirm': {
      const confirmed = what.nths.map((which) => sale.confirm({ kind: 'confirm', eventId, purchaseId: idOf(course, which) }));
      return (await Promise.all(confirmed)).map((outcome) => shape(outcome, ids));
    }
    case 'expire':
      await database.sql.query(
        `UPDATE purchases SET created_at = created_at - interval '1 hour', expires_at = expires_at - interval '1 hour'
            WHERE event_id = $1 AND id = ANY ($2) AND status = 'held'`,
        [eventId, what.nths.map((which) => idOf(course, which))],
      );
      return undefined;
    case 'window':
      return (await updateEvent(pool.prisma, eventId, windows[what.window]!))?.kind;
    case 'rules':
      return (await updateEvent(pool.prisma, eventId, what.rules))?.kind;
  }
}

test(
  'for any history, each sale gives every request the outcome that the plain sale gives it, and takes as much',
  async () => {
    const seen = new Set<string>();
    await fc.assert(
      fc.asyncProperty(history, async ({ quota, rules, steps }) => {
        const open = async (sale: AnySale): Promise<Course> => {
          const eventId = await newEvent(pool, quota, rules.maxPurchaseLimit, rules);
          return { sale, eventId, ids: [], granted: [], atLimit: new Set() };
        };
        const plain = await open(reference);
        const expected: unknown[] = [];
        for (const each of steps) expected.push(await play(plain, each));
        const { sold, held } = (await auditEvent(pool.prisma, plain.eventId))!;
        await expectConserved(pool, plain.eventId, sold, held);
        for (const outcome of expected.flat()) if (typeof outcome === 'object') seen.add((outcome as Outcome).kind);
        for (const [name, sale] of subjects) {
          const course = await open(sale);
          for (const [index, each] of steps.entries()) expect([name, await play(course, each)]).toEqual([name, expected[index]]);
          await expectConserved(pool, course.eventId, sold, held);
        }
      }),
      { numRuns: runs, endOnFailure: true, examples: [[everyOutcome], [expiredHolds], [twiceAtOnce]] },
    );
    // Each path must have had answers of its own.
    for (const sale of onPaths) expect(sale.answered).toBeGreaterThan(0);
    expect([...seen].sort()).toEqual([...refusalKinds.filter((kind) => kind !== 'event-not-found'), 'granted', 'settled'].sort());
  },
  30_000 + runs * 2_000,
);
