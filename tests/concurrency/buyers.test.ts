/**
 * Goal: no buyer has more than `max_per_buyer` tickets at any moment, and none gets fewer than he may have while there are any.
 * Method: every buyer asks more often than he may buy, at several replicas at once; the totals of all are looked at again and again
 * meanwhile, and once more at the end.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { beforeAll, expect, test } from '@jest/globals';
import pLimit from 'p-limit';
import { act, type Answer, audit, buy, makeEvent } from '../support/client.js';
import { useDatabase } from '../support/database.js';
import { patientSettings, type Replica } from '../support/replica.js';

const database = useDatabase();
let replicas: Replica[];

beforeAll(async () => {
  replicas = await Promise.all([1, 2, 3].map(() => database.startReplica(patientSettings)));
});

const [tries, limit] = [8, 4];
/** Buyers who are at it at once, each with all of his tries. */
const buyersAtOnce = 60;

/** The most that one buyer has, by the purchases themselves, in one snapshot. */
async function mostOfOneBuyer(eventId: string): Promise<number> {
  const { rows } = await database.sql.query<{ most: number }>(
    `SELECT coalesce(max(tickets), 0)::int AS most
       FROM (SELECT sum(quantity) AS tickets FROM purchases WHERE event_id = $1 AND status IN ('held', 'confirmed') GROUP BY buyer_id) t`,
    [eventId],
  );
  return rows[0]!.most;
}

/** Looks at the event for as long as the work goes on. @returns the result of the work, and what was seen */
async function sampled<T>(eventId: string, work: Promise<T>): Promise<{ result: T; seen: number[] }> {
  const seen: number[] = [];
  let done = false;
  const sampling = (async () => {
    while (!done) {
      seen.push(await mostOfOneBuyer(eventId));
      await pause(20);
    }
  })();
  try {
    return { result: await work, seen };
  } finally {
    done = true;
    await sampling;
  }
}

/** Every buyer sends all of his tries at once, each to another replica than the one before. */
async function rush(eventId: string, buyers: number): Promise<Answer[][]> {
  const inTurn = pLimit(buyersAtOnce);
  const tryAll = (buyer: number) =>
    Promise.all(
      Array.from({ length: tries }, (_, attempt) =>
        buy(replicas[(buyer + attempt) % replicas.length]!.address, eventId, 1, undefined, { buyer_id: `buyer-${String(buyer)}` }),
      ),
    );
  return Promise.all(Array.from({ length: buyers }, (_, buyer) => inTurn(() => tryAll(buyer))));
}

const granted = (answers: readonly Answer[]) => answers.filter(({ status }) => status === 201);

test.each([
  ['250 buyers, enough for all of them: each has exactly the limit', 250, 1_000, null],
  ['100 buyers, too little for all of them: the event sells out exactly', 100, 100, 600],
])(
  '%s',
  async (_name, buyers, quota, holdSeconds) => {
    const eventId = await makeEvent(replicas[0]!.address, {
      total_quota: quota,
      max_purchase_limit: 1,
      max_per_buyer: limit,
      hold_seconds: holdSeconds,
    });
    const { result: answers, seen } = await sampled(eventId, rush(eventId, buyers));
    expect(Math.max(...seen)).toBeLessThanOrEqual(limit);
    expect(await mostOfOneBuyer(eventId)).toBeLessThanOrEqual(limit);
    const bought = answers.map((own) => granted(own).length);
    expect(bought.reduce((sum, tickets) => sum + tickets, 0)).toBe(quota);
    if (quota === buyers * limit) expect(new Set(bought)).toEqual(new Set([limit]));
    for (const refused of answers.flat().filter(({ status }) => status !== 201)) {
      expect(refused.status).toBe(409);
      expect(['buyer-limit-exceeded', 'sold-out']).toContain(refused.body.code);
    }
    if (holdSeconds !== null) {
      const confirming = granted(answers.flat()).map(({ body }, index) => act(replicas[index % 3]!.address, eventId, body.id, 'confirm'));
      expect(new Set((await Promise.all(confirming)).map(({ status }) => status))).toEqual(new Set([200]));
    }
    const { body } = await audit(replicas[0]!.address, eventId);
    expect(body).toMatchObject({ available_quantity: 0, held_quantity: 0, sold_quantity: quota, tickets_issued: quota, consistent: true });
  },
  60_000,
);
