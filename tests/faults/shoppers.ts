/**
 * A few dozen buyers who hold tickets and then confirm them in time, late or at the last moment, release them, walk away, or
 * are cancelled by the admin; who are cut off, hang up, and ask twice and again, through all replicas at once.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Call } from './crowd.js';
import type { Callers } from './drain.js';
import type { Random } from './random.js';
import type { Action, Reply, Shop, Try, Wanted } from './transitions.js';

export interface ShoppersOptions {
  readonly shops: readonly Shop[];
  readonly shoppers: number;
  /** The buyers whom they name; fewer than shoppers, so that they meet at their limits. */
  readonly buyers: number;
  readonly choose: () => { readonly id: string; readonly limit: number };
  /** Of the events, in milliseconds. */
  readonly holdMs: number;
  readonly thinkMs: number;
  readonly hangUpChance?: number;
  readonly random: Random;
}

const resolveTimeoutMs = 30_000;
const isAnswered = ({ kind }: Reply) => kind === 'purchase' || kind === 'refused';

export class Shoppers implements Callers {
  readonly attempts: (Try & { readonly call: Call })[] = [];
  readonly underWay = new Set<Call>();
  hungUp = 0;
  readonly #options: ShoppersOptions;
  readonly #loops: Promise<void>[] = [];
  #leaving = false;

  constructor(options: ShoppersOptions) {
    this.#options = options;
  }

  start(): this {
    for (let index = 0; index < this.#options.shoppers; index += 1) this.#loops.push(this.#shop());
    return this;
  }

  /** Nobody begins another purchase; resolves when all have been answered. */
  async leave(): Promise<void> {
    this.#leaving = true;
    await Promise.all(this.#loops);
  }

  async #shop(): Promise<void> {
    const { random, choose, thinkMs, buyers } = this.#options;
    while (!this.#leaving) {
      const { id: eventId, limit } = choose();
      const buyerId = `buyer ${String(random.whole(1, buyers))}`.replace(' ', '-');
      const wanted = { eventId, key: randomUUID(), quantity: random.whole(1, limit), buyerId };
      const replies = await Promise.all(Array.from({ length: random.chance(0.05) ? 2 : 1 }, () => this.hold(wanted)));
      if (replies.every((reply) => !isAnswered(reply)) && random.chance(0.5)) replies.push(await this.hold(wanted));
      const held = replies.find((reply) => reply.kind === 'purchase');
      if (held) await this.#decideOn(wanted, held.purchase.id);
      await pause(random.between(0, thinkMs));
    }
  }

  /** What becomes of a hold. */
  async #decideOn(wanted: Wanted, id: string): Promise<void> {
    const { random, holdMs } = this.#options;
    const does = (action: Exclude<Action, 'hold'>) => this.act(action, wanted, id);
    const chance = random.next();
    if (chance < 0.45) {
      await Promise.all(Array.from({ length: random.chance(0.1) ? 2 : 1 }, () => does('confirm')));
      if (random.chance(0.15)) await does('cancel');
    } else if (chance < 0.6) {
      await does('release');
    } else if (chance < 0.65) {
      await does('cancel');
    } else if (chance < 0.75) {
      await Promise.all(random.shuffled(['confirm', 'release', 'cancel', 'look up'] as const).map(does));
    } else if (chance < 0.85) {
      // At the last moment, give or take.
      await pause(this.#leaving ? 0 : holdMs + random.between(-60, 60));
      await Promise.all([does('confirm'), does('look up')]);
    }
    if (random.chance(0.1)) await does(random.pick(['confirm', 'release', 'look up']));
  }

  get #anyShop(): Shop {
    return this.#options.random.pick(this.#options.shops);
  }

  hold(wanted: Wanted, shop = this.#anyShop): Promise<Reply> {
    const { random, hangUpChance = 0 } = this.#options;
    const hangsUp = !this.#leaving && random.chance(hangUpChance);
    return this.#record(shop, 'hold', wanted, () => shop.hold(wanted, hangsUp ? random.between(0, 12) : undefined));
  }

  act(action: Exclude<Action, 'hold'>, wanted: Wanted, purchaseId: string, shop = this.#anyShop): Promise<Reply> {
    return this.#record(shop, action, wanted, () => shop.act(action, wanted.eventId, purchaseId));
  }

  async #record(shop: Shop, action: Action, wanted: Wanted, work: () => Promise<Reply>): Promise<Reply> {
    const call = { asked: shop.name, calledAtMs: performance.now() };
    this.underWay.add(call);
    const answer = await work();
    this.underWay.delete(call);
    if (answer.kind === 'unknown' && answer.why === 'hung up') this.hungUp += 1;
    this.attempts.push({ ...wanted, action, call, calledAtMs: call.calledAtMs, returnedAtMs: performance.now(), answer });
    return answer;
  }

  async untilEnded(calls: ReadonlySet<Call>): Promise<void> {
    const deadline = Date.now() + resolveTimeoutMs;
    while ([...calls].some((call) => this.underWay.has(call)) && Date.now() < deadline) await pause(10);
  }

  get keys(): number {
    return new Set(this.attempts.map(({ key }) => key)).size;
  }

  /** Asks again for everything that is unknown, until it is not; then what has become of each of them. @returns how many were unknown */
  async resolve(lookUpsMax = 500): Promise<number> {
    this.#leaving = true;
    const unknown = this.#unanswered();
    // Holds first: who does not know his purchase cannot ask for anything else.
    for (const holds of [true, false]) {
      await this.#each(
        unknown.filter(({ action }) => (action === 'hold') === holds),
        (one) => this.#askUntilAnswered(one),
      );
    }
    const known = [...this.#ids().entries()];
    const wanted = new Map(this.attempts.map((one) => [one.key, one]));
    const looked = known.slice(-lookUpsMax).map(([key, id]) => ({ one: wanted.get(key)!, id }));
    await this.#each(looked, ({ one, id }) => this.#untilAnswered(() => this.act('look up', toWanted(one), id)));
    return unknown.length;
  }

  /** Of each key and action the last attempt, if it is unknown. */
  #unanswered(): Try[] {
    const last = new Map<string, Try>();
    for (const one of this.attempts) {
      if (one.action === 'look up' || one.answer.kind === 'not begun') continue;
      const name = `${one.key} ${one.action}`;
      const before = last.get(name);
      if (before?.answer.kind !== 'unknown' || one.returnedAtMs > before.returnedAtMs) last.set(name, one);
    }
    return [...last.values()].filter((one) => one.answer.kind === 'unknown');
  }

  #ids(): Map<string, string> {
    return new Map(this.attempts.flatMap(({ key, answer }) => (answer.kind === 'purchase' ? [[key, answer.purchase.id]] : [])));
  }

  async #askUntilAnswered(one: Try): Promise<void> {
    if (one.action === 'hold') return this.#untilAnswered(() => this.hold(toWanted(one)));
    const [action, id] = [one.action, this.#ids().get(one.key)!];
    return this.#untilAnswered(() => this.act(action, toWanted(one), id));
  }

  async #untilAnswered(ask: () => Promise<Reply>): Promise<void> {
    const deadline = Date.now() + resolveTimeoutMs;
    while (!isAnswered(await ask()) && Date.now() < deadline) await pause(50);
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

const toWanted = ({ eventId, key, quantity, buyerId }: Wanted): Wanted => ({ eventId, key, quantity, buyerId });
