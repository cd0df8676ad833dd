/**
 * Letting in, refusing early, and never keeping anyone past the deadline. What is admitted and not yet served is
 * bounded, in total and per key, so that the memory of the process and the wait of the last in line are too. The
 * bounds follow the measured pace: who would wait too long is better told so at once.
 */
import type { OverloadReason } from './types.js';
import { Pace } from './pace.js';

export interface AdmissionLimits {
  readonly lineMax: number;
  readonly lineMaxPerKey: number;
  /** However slow the pace: so many are let in for one key, and twice as many in total. */
  readonly lineMinPerKey: number;
  /** How long the last in line of a key may have to wait at the pace of late; in the line as a whole, twice as long. */
  readonly waitMs: number;
  readonly deadlineMs: number;
}

export type ShedReason = Extract<OverloadReason, 'draining' | 'line full' | 'event line full'>;

/** Seconds over which those who were refused are told to come back, at least and at most. */
const [spreadMin, spreadMax] = [3, 30];

/** Those admitted and not yet served, of one key or of all. */
class Line {
  length = 0;
  readonly pace = new Pace();

  isFull(max: number, min: number, waitMs: number): boolean {
    if (this.length < Math.min(max, min)) return false; // nearly always: without a look at the clock
    this.pace.look(performance.now());
    const { perSecond } = this.pace;
    const bound = perSecond === undefined ? max : Math.min(max, Math.max(min, (perSecond * waitMs) / 1000));
    return this.length >= bound;
  }
}

export class Admission<K> {
  readonly #limits: AdmissionLimits;
  readonly #lines = new Map<K, Line>();
  readonly #total = new Line();
  #closed = false;
  #onEmpty: (() => void) | undefined;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  /** Places taken. */
  get total(): number {
    return this.#total.length;
  }

  /** Why nobody is let in for `key` at the moment; undefined if somebody is. */
  refuses(key: K): ShedReason | undefined {
    const { lineMax, lineMaxPerKey, lineMinPerKey, waitMs } = this.#limits;
    if (this.#closed) return 'draining';
    if (this.#lines.get(key)?.isFull(lineMaxPerKey, lineMinPerKey, waitMs) === true) return 'event line full';
    if (this.#total.isFull(lineMax, 2 * lineMinPerKey, 2 * waitMs)) return 'line full';
    return undefined;
  }

  /** To be told of everyone who is refused. @returns when to come back */
  shed(): number {
    this.#total.pace.refused(performance.now());
    return this.retryAfterSeconds();
  }

  /**
   * Takes a place for a request that is not refused, until it has been served; answers by the deadline whatever happens meanwhile.
   *
   * @param work must settle some time after the deadline at the latest
   * @param late the answer of the deadline
   */
  serve<R>(key: K, work: Promise<R>, late: () => R): Promise<R> {
    this.#enter(key);
    return new Promise<R>((resolve, reject) => {
      const timer = setTimeout(() => {
        resolve(late());
      }, this.#limits.deadlineMs);
      const leave = () => {
        clearTimeout(timer);
        this.#leave(key);
      };
      work.then(
        (answer) => {
          leave();
          resolve(answer);
        },
        (fault: unknown) => {
          leave();
          reject(fault);
        },
      );
    });
  }

  /**
   * From 1 to 3 seconds at random, so that those who were refused together do not come back together; and over as many
   * seconds as it would take to serve those who are refused in one.
   */
  retryAfterSeconds(): number {
    const spread = Math.min(spreadMax, Math.max(spreadMin, Math.ceil(this.#total.pace.excess)));
    return 1 + Math.floor(Math.random() * spread);
  }

  /** Admits nobody from here on; resolves when the last one admitted has been served. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#total.length === 0) return;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  #enter(key: K): void {
    let line = this.#lines.get(key);
    if (!line) this.#lines.set(key, (line = new Line()));
    line.length += 1;
    this.#total.length += 1;
  }

  #leave(key: K): void {
    const nowMs = performance.now();
    const line = this.#lines.get(key);
    for (const each of [line, this.#total]) {
      if (!each) continue;
      each.length -= 1;
      each.pace.served(nowMs, each.length);
    }
    if (line?.length === 0) this.#lines.delete(key);
    if (this.#total.length === 0) this.#onEmpty?.();
  }
}
