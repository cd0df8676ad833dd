/**
 * Goal: a primary that was replaced while it stood still, and is back, gives nobody an answer from the past.
 * Method: a pair of Postgres, and a proxy that cuts no session. The primary's node is frozen, the standby promoted, and a second
 * replica sells there; then the former primary goes on, with the sessions of the first replica, which is asked all the time for what was acknowledged meanwhile.
 */
import { afterEach, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { buy, send, type Sending } from '../support/client.js';
import { insertEvents } from '../support/events.js';
import { ReplicaProcess } from './replicaProcess.js';
import { openPair, type Pair } from './standby.js';

/** READ_FENCE_MS of the replicas, which have the default. */
const boundMs = 500;
const quota = 10_000;

let pair: Pair;
let successor: ReplicaProcess | undefined;
afterEach(async () => {
  await successor?.kill();
  await pair.stage.close();
});

interface Acknowledged {
  readonly calledAtMs: number;
  readonly acknowledgedAtMs: number;
  readonly eventId: string;
  readonly purchaseId: string;
}

/** Buys at one replica, and holds what another says against what was acknowledged. */
class Witness {
  readonly acknowledged: Acknowledged[] = [];
  readonly violations = { 'stale availability': 0, 'acknowledged purchase not found': 0, 'event on sale not found': 0 };
  /** Answers by their status. */
  readonly answers = new Map<string, number>();

  constructor(readonly address: () => string) {}

  async sell(address: string, eventId: string, times: number): Promise<void> {
    for (let time = 0; time < times; time += 1) {
      const calledAtMs = performance.now();
      const answer = await buy(address, eventId, 1, randomUUID());
      expect(answer.status).toBe(201);
      this.acknowledged.push({ calledAtMs, acknowledgedAtMs: performance.now(), eventId, purchaseId: answer.body.id });
    }
  }

  /** What is left, a purchase, a purchase at the event, and readiness: all at once, whatever the order of their answers. */
  async askOnce(eventId: string): Promise<void> {
    const mine = this.acknowledged.filter((one) => one.eventId === eventId);
    const one = mine[Math.floor(Math.random() * mine.length)]!;
    await Promise.all([this.#availability(eventId), this.#lookUp(one), this.#buy(eventId), this.#ready()]);
  }

  async #ask(name: string, path: string, options: Sending = {}) {
    const answer = await send(`${this.address()}${path}`, options);
    const line = `${name} ${String(answer.status)}`;
    this.answers.set(line, (this.answers.get(line) ?? 0) + 1);
    return answer;
  }

  async #availability(eventId: string): Promise<void> {
    const calledAtMs = performance.now();
    const { status, body } = await this.#ask('availability', `/events/${eventId}`);
    if (status === 404) this.violations['event on sale not found'] += 1;
    const mustCount = this.acknowledged.filter((one) => one.eventId === eventId && one.acknowledgedAtMs < calledAtMs - boundMs).length;
    if (status === 200 && quota - (body['available_quantity'] as number) < mustCount) this.violations['stale availability'] += 1;
  }

  async #lookUp({ eventId, purchaseId }: Acknowledged): Promise<void> {
    const { status } = await this.#ask('look-up', `/events/${eventId}/purchases/${purchaseId}`);
    if (status === 404) this.violations['acknowledged purchase not found'] += 1;
  }

  async #buy(eventId: string): Promise<void> {
    const calledAtMs = performance.now();
    const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': randomUUID() };
    const { status, body } = await this.#ask('purchase', `/events/${eventId}/purchases`, {
      method: 'POST',
      headers,
      body: '{"quantity":1}',
    });
    if (status === 404) this.violations['event on sale not found'] += 1;
    if (status === 201) this.acknowledged.push({ calledAtMs, acknowledgedAtMs: performance.now(), eventId, purchaseId: body.id });
  }

  async #ready(): Promise<void> {
    await this.#ask('readyz', '/readyz');
  }
}

async function askFor(ms: number, witness: Witness, events: readonly string[]): Promise<void> {
  const until = performance.now() + ms;
  while (performance.now() < until) {
    await Promise.all(events.map((eventId) => witness.askOnce(eventId)));
    await pause(20);
  }
}

async function untilReadyz(status: number, witness: Witness): Promise<void> {
  const deadline = Date.now() + 20_000;
  while ((await send(`${witness.address()}/readyz`)).status !== status) {
    if (Date.now() > deadline) throw new Error(`/readyz does not come to ${String(status)}`);
    await pause(50);
  }
}

test.each([true, false])(
  'what a former primary knows is reported to nobody; the address leads to its successor at once: %j',
  async (atOnce) => {
    pair = await openPair(1);
    const { stage, standby } = pair;
    const former = stage.postgres;
    const [known] = await stage.makeEvents([{ quota, limit: 4 }]);
    const witness = new Witness(() => stage.replicas[0]!.address!);
    await witness.sell(witness.address(), known!.id, 5);
    await askFor(300, witness, [known!.id]);

    former.freeze();
    try {
      await standby.query('SELECT pg_promote(true, 30)');
      successor = new ReplicaProcess('successor', standby.url());
      await successor.start();
      await successor.untilReady();
      const [added] = await insertEvents((statement, values) => standby.query(statement, values), [{ quota, limit: 4 }]);
      const events = [known!.id, added!.id];
      for (const eventId of events) await witness.sell(successor.address!, eventId, 40);
      if (atOnce) stage.switchTo(standby);
      former.thaw();

      await askFor(3_000, witness, events);
      if (!atOnce) {
        // The former primary is all that the replica can reach. Once it is found out, no look at it succeeds again.
        await untilReadyz(503, witness);
        for (let probe = 0; probe < 3; probe += 1) expect((await send(`${witness.address()}/readyz`)).status).toBe(503);
        stage.switchTo(standby);
      }
      await untilReadyz(200, witness);
      await askFor(1_000, witness, events);
      expect({ ...witness.violations, answers: Object.fromEntries(witness.answers) }).toMatchObject({
        'stale availability': 0,
        'acknowledged purchase not found': 0,
        'event on sale not found': 0,
      });
      for (const eventId of events) await witness.sell(witness.address(), eventId, 1);
      // Every 201 of either replica, and nothing else, is at the primary.
      const sold = await standby.query<{ id: string }>('SELECT id::text FROM purchases WHERE event_id = ANY ($1)', [events]);
      const ids = new Set(sold.map(({ id }) => id));
      expect(witness.acknowledged.filter(({ purchaseId }) => !ids.has(purchaseId))).toEqual([]);
    } finally {
      former.thaw();
    }
  },
);
