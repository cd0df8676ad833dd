/**
 * Goal: whatever befalls a commit of a hold, a confirmation, a release, a cancellation or a sweep on its way, it has happened once
 * or not at all, and the answer is true and final.
 * Method: one after the other, and for each of them and each fate the very next commit meets it.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { InsertedEvent } from '../support/events.js';
import { judgeHolds, makeHoldEvents, readHolds, shopsOf, untilTrue } from './holdTrial.js';
import { statusOf } from './holdLedger.js';
import type { CommitFate } from './proxy.js';
import { Random, seed } from './random.js';
import { Shoppers } from './shoppers.js';
import { Stage } from './stage.js';
import type { Reply, ShownPurchase, Status } from './transitions.js';
import { count, report, tallyOf } from './trial.js';
import type { CommitWay } from './wire.js';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open(2);
});
afterAll(() => stage.close());

const holdSeconds = 300;
const random = new Random(seed, 'holds');

interface Scene {
  readonly shoppers: Shoppers;
  readonly event: InsertedEvent;
  readonly wanted: { readonly eventId: string; readonly key: string; readonly quantity: number; readonly buyerId: string };
  held(): Promise<ShownPurchase>;
  /** A hold's time is over. */
  expire(id: string): Promise<unknown>;
  row(): Promise<{ readonly status: Status; readonly marked: Status; readonly tickets: number }>;
}

/** An event of ten tickets, and nobody who does anything by himself. */
async function setScene(): Promise<Scene> {
  const [event] = await makeHoldEvents(stage, [{ quota: 10, limit: 4, perBuyer: 4 }], holdSeconds);
  const shoppers = new Shoppers({
    shops: shopsOf(stage),
    shoppers: 0,
    buyers: 1,
    choose: () => event!,
    holdMs: holdSeconds * 1_000,
    thinkMs: 0,
    random,
  });
  const wanted = { eventId: event!.id, key: randomUUID(), quantity: 3, buyerId: 'ann' };
  return {
    shoppers,
    event: event!,
    wanted,
    held: async () => {
      const answer = await shoppers.hold(wanted);
      if (answer.kind !== 'purchase') throw new Error(JSON.stringify(answer));
      return answer.purchase;
    },
    expire: (id) =>
      stage.postgres.query(`UPDATE purchases SET expires_at = created_at WHERE event_id = $1 AND id = $2`, [wanted.eventId, id]),
    row: async () => {
      const row = (await readHolds(stage, [event!])).purchases[0]!;
      return { status: statusOf(row), marked: row.status, tickets: row.ticketIds.length };
    },
  };
}

/** Lays the fate in wait for the next commit of this kind. */
function meetNext(way: CommitWay, fate: CommitFate) {
  const met = { times: 0, happened: 0 };
  stage.proxy.mishap = (commits) => {
    if (met.times > 0 || commits !== way) return undefined;
    met.times += 1;
    return { fate, lateByMs: 250 };
  };
  stage.proxy.happened = () => (met.happened += 1);
  return met;
}

async function expectTrue(scene: Scene, faults = tallyOf()): Promise<void> {
  const verdict = await judgeHolds(stage, scene.shoppers, [scene.event]);
  report(faults, verdict);
  expect(verdict.violations).toEqual([]);
}

const fates: readonly CommitFate[] = ['cut before', 'cut within', 'cut after', 'delivered late'];
const transitions: readonly ['hold' | 'confirm' | 'release' | 'cancel', CommitWay, Status][] = [
  ['hold', 'by itself', 'held'],
  ['confirm', 'by itself', 'confirmed'],
  ['release', 'by COMMIT', 'released'],
  ['cancel', 'by COMMIT', 'cancelled'],
];

test.each(transitions.flatMap((transition) => fates.map((fate) => [...transition, fate] as const)))(
  'a %s that commits %s is answered with %s when its commit is %s, and has happened once',
  async (action, way, status, fate) => {
    const faults = tallyOf(`${action} ${fate}`);
    const scene = await setScene();
    const id = action === 'hold' ? undefined : (await scene.held()).id;
    const met = meetNext(way, fate);
    const answer = action === 'hold' ? await scene.shoppers.hold(scene.wanted) : await scene.shoppers.act(action, scene.wanted, id!);
    expect(met.times).toBe(1);
    expect(answer).toMatchObject({ kind: 'purchase', purchase: { status } });
    await untilTrue('the commit has met its fate', () => met.happened === 1);
    count(faults, `${action} ${fate}`);
    await expectTrue(scene, faults);
    expect((await scene.row()).status).toBe(status);
  },
);

test.each(fates)('a sweep whose commit is %s gives back once', async (fate) => {
  const faults = tallyOf(`sweep ${fate}`);
  const scene = await setScene();
  const { id } = await scene.held();
  const met = meetNext('by itself', fate);
  await scene.expire(id);
  await untilTrue('the commit has met its fate', () => met.happened === 1);
  count(faults, `sweep ${fate}`);
  await untilTrue('the hold is swept', async () => (await scene.row()).marked === 'expired');
  expect(await scene.shoppers.act('confirm', scene.wanted, id)).toEqual({ kind: 'refused', code: 'hold-expired' });
  await expectTrue(scene, faults);
});

test('a confirmation that arrives after its purchase was answered as expired, released or cancelled confirms nothing', async () => {
  const scene = await setScene();
  const wanted = ['ann', 'bob', 'cid'].map((buyerId) => ({ ...scene.wanted, key: randomUUID(), buyerId }));
  const ids: string[] = [];
  for (const one of wanted) {
    const held = await scene.shoppers.hold(one);
    if (held.kind === 'purchase') ids.push(held.purchase.id);
  }
  // Every attempt until the deadline is held back.
  let deliver: () => void = () => undefined;
  const lateUntil = new Promise<void>((resolve) => (deliver = resolve));
  const met = { delivered: 0 };
  stage.proxy.mishap = () => ({ fate: 'delivered late', lateUntil });
  stage.proxy.happened = () => (met.delivered += 1);
  const unknown = await Promise.all(wanted.map((one, index) => scene.shoppers.act('confirm', one, ids[index]!)));
  expect(unknown).toEqual(wanted.map(() => ({ kind: 'unknown', why: 'outcome-unknown' })));
  await untilTrue('no batch is running', async () => (await batchesRunning()) === 0);
  stage.proxy.mishap = () => undefined;

  await scene.expire(ids[0]!);
  expect(await scene.shoppers.act('confirm', wanted[0]!, ids[0]!)).toEqual({ kind: 'refused', code: 'hold-expired' });
  expect(await scene.shoppers.act('release', wanted[1]!, ids[1]!)).toMatchObject({ kind: 'purchase', purchase: { status: 'released' } });
  expect(await scene.shoppers.act('cancel', wanted[2]!, ids[2]!)).toMatchObject({ kind: 'purchase', purchase: { status: 'cancelled' } });
  expect(met.delivered).toBe(0);
  deliver();
  await untilTrue('what was late has arrived', () => stage.proxy.late === 0);
  expect(met.delivered).toBeGreaterThan(0);
  await expectTrue(scene);
  const { purchases } = await readHolds(stage, [scene.event]);
  expect(purchases.map((row) => [statusOf(row), row.ticketIds.length]).sort()).toEqual([
    ['cancelled', 0],
    ['expired', 0],
    ['released', 0],
  ]);
});

test('a hold that arrives after its retry was refused, because tickets came back meanwhile, is the one purchase of its key', async () => {
  const scene = await setScene();
  const [first, second] = shopsOf(stage);
  const others = [4, 4, 2].map((quantity, index) => ({ ...scene.wanted, key: randomUUID(), quantity, buyerId: `other-${String(index)}` }));
  // The replica that is given up learns the rules and sells on the fast path; then no attempt of it gets through.
  const held = await Promise.all(others.map((one) => scene.shoppers.hold(one, first)));
  expect(await scene.shoppers.act('release', others[0]!, idIn(held[0]!), first)).toMatchObject({ kind: 'purchase' });
  let deliver: () => void = () => undefined;
  const lateUntil = new Promise<void>((resolve) => (deliver = resolve));
  stage.proxy.mishap = (way) => (way === 'by itself' ? { fate: 'delivered late', lateUntil } : { fate: 'cut before' });
  const wanted = { ...scene.wanted, quantity: 4 };
  expect(await scene.shoppers.hold(wanted, first)).toEqual({ kind: 'unknown', why: 'outcome-unknown' });
  await untilTrue('no batch is running', async () => (await batchesRunning()) === 0);
  stage.proxy.mishap = () => undefined;

  const last = { ...others[0]!, key: randomUUID() };
  expect(await scene.shoppers.hold(last, second)).toMatchObject({ kind: 'purchase' });
  expect(await scene.shoppers.hold(wanted, second)).toEqual({ kind: 'refused', code: 'sold-out' });
  expect(await scene.shoppers.act('release', others[1]!, idIn(held[1]!), second)).toMatchObject({ kind: 'purchase' });
  deliver();
  await untilTrue('what was late has arrived', () => stage.proxy.late === 0);
  await stage.untilCalm();
  // ARCHITECTURE, What can come back: the buyer does not learn of it until he asks again.
  expect(await scene.shoppers.hold(wanted, second)).toMatchObject({ kind: 'purchase', purchase: { status: 'held' } });
  await expectTrue(scene);
});

const idIn = (answer: Reply) => (answer.kind === 'purchase' ? answer.purchase.id : '');

/** Of all replicas. */
async function batchesRunning(): Promise<number> {
  const metrics = await Promise.all(stage.replicas.map(async ({ address }) => (await fetch(`${address!}/metrics`)).text()));
  return metrics.reduce((sum, text) => sum + Number(/^onsale_batches_running (\d+)/m.exec(text)?.[1]), 0);
}

test('when a replica is killed with confirmations under way, each of them resolves through the other', async () => {
  const scene = await setScene();
  const wanted = [1, 1, 1, 1].map((quantity, index) => ({
    ...scene.wanted,
    key: randomUUID(),
    quantity,
    buyerId: `buyer-${String(index)}`,
  }));
  const holds = await Promise.all(wanted.map((one) => scene.shoppers.hold(one)));
  const ids = holds.flatMap((answer) => (answer.kind === 'purchase' ? [answer.purchase.id] : []));
  const [first] = shopsOf(stage);
  const asked: Promise<unknown>[] = [];
  await stage.postgres.session(async (client) => {
    await client.query('BEGIN');
    await client.query('SELECT FROM purchases WHERE id = ANY ($1) FOR UPDATE', [ids]);
    asked.push(...wanted.map((one, index) => scene.shoppers.act('confirm', one, ids[index]!, first)));
    await untilTrue('a confirmation waits for its hold', async () => (await waitingFor(client)) > 0);
    await stage.replicas[0]!.kill();
    await client.query('COMMIT');
  });
  expect(await Promise.all(asked)).toEqual(wanted.map(() => expect.objectContaining({ kind: 'unknown' })));
  const faults = tallyOf('replica killed');
  count(faults, 'replica killed');
  await stage.replicas[0]!.start();
  await expectTrue(scene, faults);
  const { purchases } = await readHolds(stage, [scene.event]);
  expect(purchases.map(({ status }) => status)).toEqual(wanted.map(() => 'confirmed'));
});

async function waitingFor(client: { query(text: string): Promise<{ rows: unknown[] }> }): Promise<number> {
  const { rows } = await client.query(
    `SELECT FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid)) AND application_name LIKE 'onsale%'`,
  );
  return rows.length;
}
