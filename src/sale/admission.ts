/**
 * Letting in, refusing early, and never keeping anyone past the deadline. What is admitted and not yet served is
 * bounded, in total and per key, so that the memory of the process and the wait of the last in line are too.
 */

export interface AdmissionLimits {
  readonly lineMax: number;
  readonly lineMaxPerKey: number;
  readonly deadlineMs: number;
}

/**
 * The last part of a deadline, kept for the transaction itself: under a load that cannot be carried, those who are served
 * are those who waited longest, and without it they would be sold tickets and told that it is not known.
 */
const reservedShare = 0.2;

/** A request's place in line. */
export interface Place {
  /** On the clock of `performance.now()`. */
  readonly deadlineAtMs: number;
  /** Set by the answer of the deadline. Timers and clocks round differently, and only one of them may decide. */
  answered: boolean;
  /** Whether a transaction carries the request, or may have: its outcome is then no longer ours to decide. */
  started: boolean;
}

/** What one request wants done, and the answers for when it cannot be. */
export interface Admittable<R> {
  /** Must settle some time after the deadline at the latest; the place is taken until it does. */
  readonly serve: (place: Place) => Promise<R>;
  readonly shed: (retryAfterSeconds: number) => R;
  readonly late: (place: Place, retryAfterSeconds: number) => R;
}

/** Is this place past its deadline, or answered? Then no transaction may begin to carry it. */
export function isLate(place: Place): boolean {
  return place.answered || performance.now() >= place.deadlineAtMs;
}

export class Admission<K> {
  readonly #limits: AdmissionLimits;
  readonly #perKey = new Map<K, number>();
  #total = 0;
  #closed = false;
  #onEmpty: (() => void) | undefined;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  /** Places taken. */
  get total(): number {
    return this.#total;
  }

  /** Is so little time left that a transaction that begins to carry this place may end past its deadline? */
  isTooLateToBegin(place: Place): boolean {
    return isLate(place) || performance.now() >= place.deadlineAtMs - this.#limits.deadlineMs * reservedShare;
  }

  /** Serves the request if there is a place for it; answers by the deadline whatever happens meanwhile. */
  admit<R>(key: K, request: Admittable<R>): Promise<R> {
    const ofKey = this.#perKey.get(key) ?? 0;
    if (this.#closed || this.#total >= this.#limits.lineMax || ofKey >= this.#limits.lineMaxPerKey) {
      return Promise.resolve(request.shed(this.retryAfterSeconds()));
    }
    this.#perKey.set(key, ofKey + 1);
    this.#total += 1;
    const place: Place = { deadlineAtMs: performance.now() + this.#limits.deadlineMs, answered: false, started: false };
    return new Promise<R>((resolve, reject) => {
      const timer = setTimeout(() => {
        place.answered = true;
        resolve(request.late(place, this.retryAfterSeconds()));
      }, this.#limits.deadlineMs);
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

  /** From 1 to 3 seconds at random, so that those who were refused together do not come back together. */
  retryAfterSeconds(): number {
    return 1 + Math.floor(Math.random() * 3);
  }

  /** Admits nobody from here on; resolves when the last one admitted has been served. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#total === 0) return;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  #leave(key: K): void {
    const ofKey = (this.#perKey.get(key) ?? 0) - 1;
    if (ofKey > 0) this.#perKey.set(key, ofKey);
    else this.#perKey.delete(key);
    this.#total -= 1;
    if (this.#total === 0) this.#onEmpty?.();
  }
}
