/** A constant load: buyers and readers go through one small event after the other, each until it is sold out. */
import { Crowd } from '../faults/crowd.js';
import { Random, seed } from '../faults/random.js';
import type { InsertedEvent } from '../support/events.js';
import type { Company, Kill } from './company.js';
import { type Look, Readers } from './readers.js';

/** A few seconds of the load. */
const quota = 1_500;
const eventsMax = 200;

/** What went wrong for whom, and when. */
export interface Failure {
  readonly calledAtMs: number;
  readonly returnedAtMs: number;
  readonly why: string;
}

export class Sale {
  private constructor(
    readonly events: readonly InsertedEvent[],
    readonly crowd: Crowd,
    readonly readers: Readers,
    readonly random: Random,
    readonly current: () => InsertedEvent,
  ) {}

  static async open(company: Company, name: string): Promise<Sale> {
    const random = new Random(seed, name);
    const events = await company.stage.makeEvents(Array.from({ length: eventsMax }, () => ({ quota, limit: 4 })));
    const readers: Readers = new Readers(company.address, current);
    const crowd = new Crowd({ clients: [company.client], buyers: 24, choose: current, thinkMs: 40, random });
    let index = 0;
    let looked = 0;
    /** Goes on to the next when somebody was shown that nothing is left. */
    function current(): InsertedEvent {
      for (; looked < readers.looks.length; looked += 1) {
        const { eventId, available } = readers.looks[looked]!;
        if (available === 0 && eventId === events[index]!.id && index < events.length - 1) index += 1;
      }
      return events[index]!;
    }
    crowd.start();
    readers.start(8, 10);
    return new Sale(events, crowd, readers, random, current);
  }

  /** Nobody begins anything more; resolves when all have been answered. */
  async end(): Promise<void> {
    await Promise.all([this.crowd.leave(), this.readers.leave()]);
  }

  /** Requests that were not answered with what they asked for, or a refusal of the business. */
  get failures(): Failure[] {
    const purchases = this.crowd.attempts.flatMap(({ answer, calledAtMs, returnedAtMs }) =>
      answer.kind === 'unknown' || answer.kind === 'not begun' ? [{ calledAtMs, returnedAtMs, why: answer.why }] : [],
    );
    const isFailed = ({ status }: Look) => status !== 200;
    const looks = this.readers.looks.filter(isFailed).map((look) => ({ ...look, why: `read: ${String(look.status)}` }));
    return [...purchases, ...looks];
  }

  /** Events that were sold until an answer said that nothing is left. */
  get soldOut(): InsertedEvent[] {
    return this.events.slice(0, this.events.indexOf(this.current()));
  }
}

/** Whether it was under way when a process was killed. */
export const wasUnderWay = ({ calledAtMs, returnedAtMs }: Failure, kills: readonly Kill[]) =>
  kills.some(({ fromMs, toMs }) => calledAtMs <= toMs && returnedAtMs >= fromMs);
