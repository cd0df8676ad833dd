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

/**
 * The last part of a deadline, kept for the transaction itself: under a load that cannot be carried, those who are served
 * are those who waited longest, and without it they would be sold tickets and told that it is not known.
 */
const reservedShare = 0.2;
/** Seconds over which those who were refused are told to come back, at least and at most. */
const [spreadMin, spreadMax] = [3, 30];

/** A request's place in line. */
export interface Place {
  /** Both on the clock of `performance.now()`. */
  readonly admittedAtMs: number;
  readonly deadlineAtMs: number;
  /** Has the caller hung up? Then nothing need begin for it. */
  readonly isGone: () => boolean;
  /** Set by the answer of the deadline. Timers and clocks round differently, and only one of them may decide. */
  answered: boolean;
  /** Whether a transaction carries the request, or may have: its outcome is then no longer ours to decide. */
  started: boolean;
}

/** What one request wants done, and the answers for when it cannot be. */
export interface Admittable<R> {
  /** Must settle some time after the deadline at the latest; the place is taken until it does. */
  readonly serve: (place: Place) => Promise<R>;
  readonly shed: (retryAfterSeconds: number, reason: ShedReason) => R;
  readonly late: (place: Place, retryAfterSeconds: number) => R;
  readonly isGone?: (() => boolean) | undefined;
}

/** Is this place past its deadline, or answered? Then no transaction may begin to carry it. */
export function isLate(place: Place): boolean {
  return place.answered || performance.now() >= place.deadlineAtMs;
}

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

const stays = () => false;

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

  /** Is so little time left that a transaction that begins to carry this place may end past its deadline? Or is nobody there to be told? */
  isTooLateToBegin(place: Place): boolean {
    return place.answered || place.isGone() || performance.now() >= place.deadlineAtMs - this.#limits.deadlineMs * reservedShare;
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

  /** Serves the request if there is a place for it; answers by the deadline whatever happens meanwhile. */
  admit<R>(key: K, request: Admittable<R>): Promise<R> {
    const reason = this.refuses(key);
    if (reason !== undefined) return Promise.resolve(request.shed(this.shed(), reason));
    this.#enter(key);
    const { deadlineMs } = this.#limits;
    const admittedAtMs = performance.now();
    const place: Place = {
      admittedAtMs,
      deadlineAtMs: admittedAtMs + deadlineMs,
      isGone: request.isGone ?? stays,
      answered: false,
      started: false,
    };
    return new Promise<R>((resolve, reject) => {
      const timer = setTimeout(() => {
        place.answered = true;
        resolve(request.late(place, this.retryAfterSeconds()));
      }, deadlineMs);
      const leave = () => {
        clearTimeout(timer);
        this.#leave(key);
      };
      request.serve(place).then(
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
