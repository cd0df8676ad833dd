/**
 * Goal: nobody buys what is not there, and everything that is there is sold, whatever the number of buyers and replicas.
 * Method: real HTTP requests to several replicas on one database, all at once; then the books.
 */
import { beforeAll, expect, test } from '@jest/globals';
import { type Answer, audit, buy, makeEvent } from '../support/client.js';
import { useDatabase } from '../support/database.js';
import { patientSettings, type Replica } from '../support/replica.js';

const database = useDatabase();
let replicas: Replica[];

beforeAll(async () => {
  replicas = await Promise.all([1, 2, 3].map(() => database.startReplica(patientSettings)));
});

/** All requests at once, spread over the replicas. */
function rush(eventId: string, addresses: string[], quantities: number[]): Promise<Answer[]> {
  return Promise.all(quantities.map((quantity, index) => buy(addresses[index % addresses.length]!, eventId, quantity)));
}

async function expectSoldOut(eventId: string, answers: readonly Answer[], quota: number): Promise<void> {
  const sold = answers.filter((answer) => answer.status === 201);
  expect(sold.flatMap((answer) => answer.body.tickets)).toHaveLength(quota);
  expect(new Set(sold.flatMap((answer) => answer.body.tickets.map((ticket) => ticket.id))).size).toBe(quota);
  for (const refused of answers.filter((answer) => answer.status !== 201)) {
    expect(refused.status).toBe(409);
    expect(['sold-out', 'insufficient-availability']).toContain(refused.body.code);
  }
  const { body: books } = await audit(replicas[0]!.address, eventId);
  expect(books).toEqual({
    event_id: eventId,
    total_quota: quota,
    available_quantity: 0,
    held_quantity: 0,
    sold_quantity: quota,
    tickets_issued: quota,
    consistent: true,
  });
}

test.each([
  ['one replica', 1],
  ['three replicas', 3],
])('2,000 requests at once for 1 to 4 of 100 tickets, on %s, sell exactly 100', async (_name, count) => {
  const addresses = replicas.slice(0, count).map((replica) => replica.address);
  const eventId = await makeEvent(addresses[0]!, { total_quota: 100, max_purchase_limit: 4 });
  const quantities = Array.from({ length: 2_000 }, (_, index) => 1 + (index % 4));
  await expectSoldOut(eventId, await rush(eventId, addresses, quantities), 100);
});

test('1,000 buyers of one ticket each, on three replicas, all get one of 1,000', async () => {
  const addresses = replicas.map((replica) => replica.address);
  const eventId = await makeEvent(addresses[0]!, { total_quota: 1_000, max_purchase_limit: 1 });
  const answers = await rush(eventId, addresses, new Array<number>(1_000).fill(1));
  expect(answers.every((answer) => answer.status === 201)).toBe(true);
  await expectSoldOut(eventId, answers, 1_000);
});

test('the same key sent a hundred times at once to three replicas buys once', async () => {
  const addresses = replicas.map((replica) => replica.address);
  const eventId = await makeEvent(addresses[0]!, { total_quota: 100, max_purchase_limit: 4 });
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, index) => buy(addresses[index % 3]!, eventId, 2, 'the-same-key-for-all')),
  );
  expect(answers.map((answer) => answer.status)).toEqual(new Array(100).fill(201));
  expect(new Set(answers.map((answer) => JSON.stringify(answer.body))).size).toBe(1);
  expect(answers.filter((answer) => !answer.headers.has('Idempotency-Replayed'))).toHaveLength(1);
  const { body: books } = await audit(addresses[0]!, eventId);
  expect(books).toMatchObject({ available_quantity: 98, sold_quantity: 2, tickets_issued: 2, consistent: true });
});
