/**
 * Admission control bounds the requests in progress, in total and per key, and so bounds memory and waiting time. The bounds
 * follow the measured throughput: a request that would wait too long is refused at once. An admitted request is answered by
 * its deadline, whatever happens to the database.
 */
import { ThroughputEstimate } from './throughput.js';
import type { OverloadReason } from './types.js';

export interface AdmissionLimits {
  readonly inProgressMax: number;
  readonly inProgressPerKeyMax: number;
  /** Admitted for one key however low the throughput is; in total, twice as many. */
  readonly inProgressPerKeyMin: number;
  /** The longest expected wait at recent throughput, for the last request of a key; for all keys together, twice as long. */
  readonly queueWaitMs: number;
  readonly deadlineMs: number;
}

export type ShedReason = Extract<OverloadReason, 'draining' | 'purchases full' | 'event purchases full'>;

/** The shortest and the longest period, in seconds, over which the retries of refused clients are spread. */
const [spreadMin, spreadMax] = [3, 30];

/** Requests admitted and not yet served, for one key or for all. */
class InProgress {
  count = 0;
  readonly throughput = new ThroughputEstimate();

  isFull(max: number, min: number, waitMs: number): boolean {
    if (this.count < Math.min(max, min)) return false; // nearly always; it avoids reading the clock
    this.throughput.update(performance.now());
    const { perSecond } = this.throughput;
    const bound = perSecond === undefined ? max : Math.min(max, Math.max(min, (perSecond * waitMs) / 1000));
    return this.count >= bound;
  }
}

export class Admission<K> {
  readonly #limits: AdmissionLimits;
  readonly #byKey = new Map<K, InProgress>();
  readonly #total = new InProgress();
  #closed = false;
  #onEmpty: (() => void) | undefined;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  /** Requests in progress. */
  get total(): number {
    return this.#total.count;
  }

  /** Why a request for `key` would be refused at the moment; undefined if it would be admitted. */
  refuses(key: K): ShedReason | undefined {
    const { inProgressMax, inProgressPerKeyMax, inProgressPerKeyMin, queueWaitMs } = this.#limits;
    if (this.#closed) return 'draining';
    if (this.#byKey.get(key)?.isFull(inProgressPerKeyMax, inProgressPerKeyMin, queueWaitMs) === true) return 'event purchases full';
    if (this.#total.isFull(inProgressMax, 2 * inProgressPerKeyMin, 2 * queueWaitMs)) return 'purchases full';
    return undefined;
  }

  /** Counts a refusal. @returns the seconds after which the client should retry */
  shed(): number {
    this.#total.throughput.refused(performance.now());
    return this.retryAfterSeconds();
  }

  /**
   * Admits a request, which is in progress until `work` settles, and answers it by the deadline even if `work` takes longer.
   *
   * @param work may settle after the deadline, but must settle eventually
   * @param late gives the answer at the deadline
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
   * A random delay of 1 to 3 seconds, so that clients refused together do not retry together. Under a heavier overload the range
   * grows to the number of seconds that serving one second's refusals would take.
   */
  retryAfterSeconds(): number {
    const spread = Math.min(spreadMax, Math.max(spreadMin, Math.ceil(this.#total.throughput.excess)));
    return 1 + Math.floor(Math.random() * spread);
  }

  /** Stops admitting requests; resolves when every admitted request has been served. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#total.count === 0) return;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  #enter(key: K): void {
    let own = this.#byKey.get(key);
    if (!own) this.#byKey.set(key, (own = new InProgress()));
    own.count += 1;
    this.#total.count += 1;
  }

  #leave(key: K): void {
    const nowMs = performance.now();
    const own = this.#byKey.get(key);
    for (const each of [own, this.#total]) {
      if (!each) continue;
      each.count -= 1;
      each.throughput.served(nowMs, each.count);
    }
    if (own?.count === 0) this.#byKey.delete(key);
    if (this.#total.count === 0) this.#onEmpty?.();
  }
}
