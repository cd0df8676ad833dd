/**
 * Goal: what is held and not paid for comes back exactly once, whatever happens to the holds at the same moment, and is sold again
 * to the last ticket.
 * Method: real HTTP requests to several replicas, whose sweepers run; the conservation query again and again meanwhile, and at the end.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { beforeAll, expect, test } from '@jest/globals';
import { act, type Answer, audit, buy, lookUp, makeEvent } from '../support/client.js';
import { useDatabase } from '../support/database.js';
import { patientSettings, type Replica } from '../support/replica.js';

const database = useDatabase();
let replicas: Replica[];

beforeAll(async () => {
  replicas = await Promise.all([1, 2, 3].map(() => database.startReplica({ ...patientSettings, SWEEP_INTERVAL_MS: '100' })));
});

const at = (index: number) => replicas[index % replicas.length]!.address;

interface Books {
  readonly available_quantity: number;
  readonly held_quantity: number;
  readonly sold_quantity: number;
  readonly consistent: boolean;
}

const books = async (eventId: string) => (await audit(at(0), eventId)).body as unknown as Books;

/** Does the work while the conservation query is asked again and again. */
async function audited<T>(eventId: string, work: Promise<T>): Promise<T> {
  let done = false;
  const auditing = (async () => {
    while (!done) {
      expect(await books(eventId)).toMatchObject({ consistent: true });
      await pause(20);
    }
  })();
  try {
    return await work;
  } finally {
    done = true;
    await auditing;
  }
}

/**
 * Buyers ask for 1 to 4 tickets, and then for one, until everything is held or sold.
 *
 * @param after they go on at least until this moment
 * @returns the ids of what they got
 */
async function buyEverything(eventId: string, quota: number, after = new Date(0)): Promise<string[]> {
  const got: string[] = [];
  for (let round = 0; ; round += 1) {
    const { rows } = await database.sql.query<{ passed: boolean }>('SELECT clock_timestamp() > $1 AS passed', [after]);
    const { held_quantity: held, sold_quantity: sold } = await books(eventId);
    if (rows[0]!.passed && held + sold === quota) return got;
    const wanted = Array.from({ length: 150 }, (_, index) => buy(at(index), eventId, round < 2 ? 1 + (index % 4) : 1));
    for (const { status, body } of await Promise.all(wanted)) {
      if (status === 201) got.push(body.id);
      else expect(['sold-out', 'insufficient-availability']).toContain(body.code);
    }
  }
}

/** The buyers of these holds go away: they expire during the next half second, in no particular order. @returns when the last has */
async function abandon(ids: readonly string[]): Promise<Date> {
  const { rows } = await database.sql.query<{ last: Date }>(
    `WITH abandoned AS (
       UPDATE purchases SET expires_at = clock_timestamp() + random() * interval '500 ms' WHERE status = 'held' AND id = ANY ($1) RETURNING *)
     SELECT max(expires_at) AS last FROM abandoned`,
    [ids],
  );
  return rows[0]!.last;
}

test('holds that are made, abandoned and expire, and are sold again, over and over on three replicas, come back exactly once', async () => {
  const quota = 400;
  const eventId = await makeEvent(at(0), { total_quota: quota, max_purchase_limit: 4, hold_seconds: 3_600 });
  const abandoned: string[] = [];
  let holds = await audited(eventId, buyEverything(eventId, quota));
  for (let round = 0; round < 3; round += 1) {
    abandoned.push(...holds);
    const last = await abandon(holds);
    holds = await audited(eventId, buyEverything(eventId, quota, last));
  }
  const confirmed = await Promise.all(holds.map((id, index) => act(at(index), eventId, id, 'confirm')));
  expect(new Set(confirmed.map(({ status }) => status))).toEqual(new Set([200]));
  // Too late for all the others, whoever has swept them.
  const late = await Promise.all(abandoned.map((id, index) => act(at(index), eventId, id, 'confirm')));
  expect(new Set(late.map(({ body }) => body.code))).toEqual(new Set(['hold-expired']));
  await expect(books(eventId)).resolves.toMatchObject({ available_quantity: 0, held_quantity: 0, sold_quantity: quota, consistent: true });
});

const actions = ['confirm', 'release', 'cancel'] as const;

/** Whether the three answers can all be true, given what became of the hold. */
function expectOneStory(final: string, [confirm, release, cancel]: readonly Answer[]): void {
  const code = ({ status, body }: Answer) => (status === 200 ? body['status'] : body.code);
  if (final === 'released') {
    expect([confirm, release, cancel].map((answer) => code(answer!))).toEqual(['hold-released', 'released', 'hold-released']);
  } else {
    expect(final).toBe('cancelled'); // for a cancellation takes what is confirmed, too
    expect(code(cancel!)).toBe('cancelled');
    expect(['confirmed', 'purchase-cancelled']).toContain(code(confirm!));
    expect(code(confirm!) === 'confirmed' ? ['purchase-confirmed', 'purchase-cancelled'] : ['purchase-cancelled']).toContain(
      code(release!),
    );
  }
}

test('a storm of confirmations, releases and cancellations of every hold, on three replicas, while others buy what comes back', async () => {
  const quota = 300;
  const eventId = await makeEvent(at(0), { total_quota: quota, max_purchase_limit: 4, hold_seconds: 3_600 });
  const holds = await buyEverything(eventId, quota);
  const storm = holds.map((id, index) => Promise.all(actions.map((action, offset) => act(at(index + offset), eventId, id, action))));
  const rest = buyEverything(eventId, quota);
  const answers = await audited(eventId, Promise.all(storm));
  const finals = await Promise.all(holds.map((id, index) => lookUp(at(index), eventId, id)));
  finals.forEach(({ body }, index) => {
    expectOneStory(String(body['status']), answers[index]!);
  });
  await rest;
  const bought = await buyEverything(eventId, quota);
  const { rows } = await database.sql.query<{ id: string }>(`SELECT id FROM purchases WHERE event_id = $1 AND status = 'held'`, [eventId]);
  expect(bought.every((id) => rows.some((row) => row.id === id))).toBe(true);
  await Promise.all(rows.map(({ id }, index) => act(at(index), eventId, id, 'confirm')));
  await expect(books(eventId)).resolves.toMatchObject({ available_quantity: 0, held_quantity: 0, sold_quantity: quota, consistent: true });
});

test('a crowd that waits for the opening on three replicas gets not one ticket early, and everything after it', async () => {
  const quota = 200;
  const { rows } = await database.sql.query<{ start: Date }>(`SELECT date_trunc('milliseconds', now() + interval '2 s') AS start`);
  const { start } = rows[0]!;
  const eventId = await makeEvent(at(0), { total_quota: quota, max_purchase_limit: 1, sale_starts_at: start.toISOString() });
  /** Asks until the sale has an answer for him. */
  const wait = async (index: number): Promise<Answer[]> => {
    const answers: Answer[] = [];
    do answers.push(await buy(at(index), eventId, 1));
    while (answers.at(-1)!.body.code === 'sale-not-started');
    return answers;
  };
  const crowd = await audited(eventId, Promise.all(Array.from({ length: 250 }, (_, index) => wait(index))));
  const refused = crowd.flatMap((answers) => answers.slice(0, -1));
  expect(new Set(refused.map(({ status, body }) => `${String(status)} ${String(body['sale_starts_at'])}`))).toEqual(
    new Set([`409 ${start.toISOString()}`]),
  );
  const last = crowd.map((answers) => answers.at(-1)!);
  const sold = last.filter(({ status }) => status === 201);
  expect(sold).toHaveLength(quota);
  expect(sold.every(({ body }) => new Date(String(body['created_at'])) >= start)).toBe(true);
  expect(new Set(last.filter(({ status }) => status !== 201).map(({ body }) => body.code))).toEqual(new Set(['sold-out']));
  await expect(books(eventId)).resolves.toMatchObject({ available_quantity: 0, sold_quantity: quota, consistent: true });
});
