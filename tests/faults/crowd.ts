/**
 * A few dozen buyers who buy, are cut off, hang up, ask twice and ask again, through all replicas at once; and what they
 * were answered.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { type Answer, type Attempt, byKey } from './history.js';
import type { Random } from './random.js';
import type { NamedClient } from './client.js';
import type { InsertedEvent } from '../support/events.js';

export interface CrowdOptions {
  readonly clients: readonly NamedClient[];
  readonly buyers: number;
  /** Which event a buyer goes for at the moment. */
  readonly choose: () => InsertedEvent;
  /** A buyer waits at random up to this long between two purchases. */
  readonly thinkMs: number;
  readonly hangUpChance?: number;
  readonly random: Random;
}

/** A purchase that is still unknown after so long was given up by nobody, and answered by nobody. */
const resolveTimeoutMs = 30_000;

/** An attempt as it begins. */
export interface Call {
  readonly asked: string;
  readonly calledAtMs: number;
}

export type RecordedAttempt = Attempt & { readonly call: Call };

export class Crowd {
  readonly attempts: RecordedAttempt[] = [];
  /** Attempts whose buyer hung up before the answer. */
  hungUp = 0;
  readonly #options: CrowdOptions;
  readonly #buyers: Promise<void>[] = [];
  #leaving = false;
  /** Attempts that were not answered yet. */
  readonly underWay = new Set<Call>();

  constructor(options: CrowdOptions) {
    this.#options = options;
  }

  /** In they come. */
  start(): this {
    for (let index = 0; index < this.#options.buyers; index += 1) this.#buyers.push(this.#shopAround());
    return this;
  }

  /** Nobody begins another purchase; resolves when all have been answered. */
  async leave(): Promise<void> {
    this.#leaving = true;
    await Promise.all(this.#buyers);
  }

  async #shopAround(): Promise<void> {
    const { random, choose, thinkMs } = this.#options;
    while (!this.#leaving) {
      const event = choose();
      const key = randomUUID();
      const quantity = random.whole(1, event.limit);
      const answers = await Promise.all(
        Array.from({ length: random.chance(0.05) ? 2 : 1 }, () => this.buy(this.#anyClient(), event.id, quantity, key)),
      );
      const unanswered = answers.every(({ kind }) => kind === 'unknown' || kind === 'not begun');
      if (random.chance(unanswered ? 0.3 : 0.05)) await this.buy(this.#anyClient(), event.id, quantity, key);
      await pause(random.between(0, unanswered ? thinkMs * 4 : thinkMs));
    }
  }

  #anyClient(): NamedClient {
    return this.#options.random.pick(this.#options.clients);
  }

  /** One attempt, recorded. */
  buy(client: NamedClient, eventId: string, quantity: number, key: string): Promise<Answer> {
    const { random, hangUpChance = 0 } = this.#options;
    const hangsUp = !this.#leaving && random.chance(hangUpChance);
    return this.buyAndHangUp(client, eventId, quantity, key, hangsUp ? random.between(0, 12) : undefined);
  }

  /** One attempt, recorded; the buyer goes away after so long. */
  async buyAndHangUp(client: NamedClient, eventId: string, quantity: number, key: string, afterMs: number | undefined): Promise<Answer> {
    const call = { asked: client.name, calledAtMs: performance.now() };
    this.underWay.add(call);
    const answer = await client.buy(eventId, quantity, key, afterMs);
    this.underWay.delete(call);
    if (answer.kind === 'unknown' && answer.why === 'hung up') this.hungUp += 1;
    this.attempts.push({ eventId, key, quantity, call, ...call, returnedAtMs: performance.now(), answer });
    return answer;
  }

  async untilEnded(calls: ReadonlySet<Call>): Promise<void> {
    const deadline = Date.now() + resolveTimeoutMs;
    while ([...calls].some((call) => this.underWay.has(call)) && Date.now() < deadline) await pause(10);
  }

  /** Asks again for every key that is unknown, with the same key, until it is not. @returns their number */
  async resolve(): Promise<number> {
    const unknown = [...byKey(this.attempts).values()].filter(({ standing }) => standing === 'unknown');
    const deadline = Date.now() + resolveTimeoutMs;
    await this.#each(unknown, async ({ eventId, quantity, key }) => {
      for (;;) {
        const { kind } = await this.buy(this.#anyClient(), eventId, quantity, key);
        if (kind === 'granted' || kind === 'refused' || Date.now() > deadline) return;
        await pause(50);
      }
    });
    return unknown.length;
  }

  /** Asks once more for these keys: the answers must be what they were. */
  async askAgain(keys: readonly string[]): Promise<void> {
    const histories = byKey(this.attempts);
    await this.#each(keys, async (key) => {
      const { eventId, quantity } = histories.get(key)!;
      for (let attempt = 0; attempt < 5; attempt += 1) {
        const { kind } = await this.buy(this.#anyClient(), eventId, quantity, key);
        if (kind === 'granted' || kind === 'refused') return;
        await pause(50);
      }
    });
  }

  async #each<T>(list: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
    const items = list.values();
    await Promise.all(
      Array.from({ length: 32 }, async () => {
        for (const item of items) await work(item);
      }),
    );
  }
}
