/**
 * Admission: how many requests may be in progress, in total and per key, so that memory and the wait of the last one are
 * bounded. The bounds follow the measured throughput: a request that would wait too long is refused at once. An admitted
 * request is answered by its deadline, whatever happens meanwhile.
 */
import { ThroughputEstimate } from './throughput.js';
import type { OverloadReason } from './types.js';

export interface AdmissionLimits {
  readonly inProgressMax: number;
  readonly inProgressPerKeyMax: number;
  /** However low the throughput: this many are admitted for one key, and twice as many in total. */
  readonly inProgressPerKeyMin: number;
  /** How long the last request of a key may have to wait at recent throughput; of all keys together, twice as long. */
  readonly queueWaitMs: number;
  readonly deadlineMs: number;
}

export type ShedReason = Extract<OverloadReason, 'draining' | 'purchases full' | 'event purchases full'>;

/** Seconds over which the clients that were refused are told to come back, at least and at most. */
const [spreadMin, spreadMax] = [3, 30];

/** Requests admitted and not yet served, of one key or of all. */
class InProgress {
  count = 0;
  readonly throughput = new ThroughputEstimate();

  isFull(max: number, min: number, waitMs: number): boolean {
    if (this.count < Math.min(max, min)) return false; // nearly always: without a look at the clock
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

  /** Why no request for `key` is admitted at the moment; undefined if one is. */
  refuses(key: K): ShedReason | undefined {
    const { inProgressMax, inProgressPerKeyMax, inProgressPerKeyMin, queueWaitMs } = this.#limits;
    if (this.#closed) return 'draining';
    if (this.#byKey.get(key)?.isFull(inProgressPerKeyMax, inProgressPerKeyMin, queueWaitMs) === true) return 'event purchases full';
    if (this.#total.isFull(inProgressMax, 2 * inProgressPerKeyMin, 2 * queueWaitMs)) return 'purchases full';
    return undefined;
  }

  /** Counts a refusal. @returns the seconds after which to come back */
  shed(): number {
    this.#total.throughput.refused(performance.now());
    return this.retryAfterSeconds();
  }

  /**
   * Admits a request that is not refused, until it has been served; answers by the deadline whatever happens meanwhile.
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
   * At random from 1 to 3 seconds, so that clients that were refused together do not come back together; or over as many
   * seconds as it takes to serve what is refused in one.
   */
  retryAfterSeconds(): number {
    const spread = Math.min(spreadMax, Math.max(spreadMin, Math.ceil(this.#total.throughput.excess)));
    return 1 + Math.floor(Math.random() * spread);
  }

  /** Admits nothing from here on; resolves when the last request admitted has been served. */
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
