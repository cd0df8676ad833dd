/** Events that sell holds, and the end of every scenario on them: calm, the books, every unknown asked again, the books again. */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { InsertedEvent } from '../support/events.js';
import type { Violation } from './checker.js';
import { checkHolds } from './holdChecker.js';
import { type HoldLedger, readHoldLedger } from './holdLedger.js';
import type { Shoppers } from './shoppers.js';
import type { Stage } from './stage.js';
import { httpShop, type Shop } from './transitions.js';
import type { Verdict } from './trial.js';

const patienceMs = 30_000;

export const shopsOf = (stage: Stage): Shop[] => stage.replicas.map((replica) => httpShop(replica.name, () => replica.address));

/** Puts events on sale whose holds may be shorter than the API allows, so that many of them expire during a run. */
export async function makeHoldEvents(
  stage: Stage,
  events: readonly { readonly quota: number; readonly limit: number; readonly perBuyer: number | null }[],
  holdSeconds: number,
): Promise<InsertedEvent[]> {
  const made = await stage.makeEvents(events);
  await stage.postgres.query('ALTER TABLE events DROP CONSTRAINT IF EXISTS events_hold_seconds_range');
  for (const [index, { id }] of made.entries()) {
    await stage.postgres.query(`UPDATE events SET hold_seconds = $2, max_per_buyer = $3, revision = revision + 1 WHERE id = $1`, [
      id,
      holdSeconds,
      events[index]!.perBuyer,
    ]);
  }
  return made;
}

export function readHolds(stage: Stage, events: readonly { readonly id: string }[]): Promise<HoldLedger> {
  return stage.postgres.session((client) =>
    readHoldLedger(
      client,
      events.map(({ id }) => id),
    ),
  );
}

/** To be called when the shoppers have left and the faults are over. @param seen violations that were seen on the way */
export async function judgeHolds(
  stage: Stage,
  shoppers: Shoppers,
  events: readonly InsertedEvent[],
  seen: readonly Violation[] = [],
): Promise<Verdict> {
  await stage.untilCalm();
  const before = checkHolds(shoppers.attempts, await readHolds(stage, events), { resolved: false });
  const unknown = await shoppers.resolve();
  await stage.untilCalm();
  const after = checkHolds(shoppers.attempts, await readHolds(stage, events), { resolved: true });
  const acknowledged = new Set(shoppers.attempts.filter(({ answer }) => answer.kind === 'purchase').map(({ key }) => key)).size;
  const unresolved = after.filter(({ harm }) => harm === 'unresolved').length;
  return { violations: [...seen, ...before, ...after], tried: shoppers.keys, acknowledged, unknown, resolved: unknown - unresolved };
}

/** @throws if it does not come true; only a failure takes so long */
export async function untilTrue(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + patienceMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`it did not come to this: ${what}`);
    await pause(20);
  }
}

/** Resolves when no hold of the event is left whose time is not over. */
export async function untilAllExpired(stage: Stage, { id }: InsertedEvent): Promise<void> {
  const query = `SELECT FROM purchases WHERE event_id = $1 AND status = 'held' AND expires_at > now()`;
  await untilTrue('every hold has expired', async () => (await stage.postgres.query(query, [id])).length === 0);
}

/** Buys all that is left, each ticket held and then confirmed, by buyers who have none yet. */
export async function sellOut(shoppers: Shoppers, { id: eventId, limit }: InsertedEvent): Promise<void> {
  const deadline = Date.now() + patienceMs;
  const buyOn = async (quantity: number): Promise<void> => {
    for (;;) {
      if (Date.now() > deadline) throw new Error(`the event does not sell out: ${JSON.stringify(shoppers.attempts.slice(-3))}`);
      const key = randomUUID();
      const wanted = { eventId, key, quantity, buyerId: key };
      const held = await shoppers.hold(wanted);
      if (held.kind === 'refused') return;
      if (held.kind === 'purchase') await shoppers.act('confirm', wanted, held.purchase.id);
    }
  };
  for (let quantity = limit; quantity > 0; quantity -= 1) await Promise.all(Array.from({ length: 8 }, () => buyOn(quantity)));
}
