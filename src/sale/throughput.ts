/**
 * Estimates the throughput. By Little's law (requests in the system = rate × wait) it yields the number of requests that can be
 * admitted without the last one waiting too long: a bound that adapts to the machine, the batch sizes and the database.
 */

/** Long enough for a few batches. */
const windowMs = 250;
/**
 * The number of windows kept; the best one is the estimate. They are few enough to follow a stalling database, and enough that
 * a moment in which thousands of clients connect does not look like the full capacity. With the mean of the windows, 3 to 6 %
 * of 2,560 to 4,000 clients were refused although all could have been served; with an estimate after half a second, 7,000
 * requests were refused at the start of a rush of 4,000 clients.
 */
const windows = 4;

export class ThroughputEstimate {
  #sinceMs = performance.now();
  #served = 0;
  #refused = 0;
  #wasIdle = false;
  readonly #recent: number[] = [];
  #refusedPerSecond = 0;

  /** Recent throughput; undefined until it was measured over a second without an idle moment. */
  get perSecond(): number | undefined {
    return this.#recent.length < windows ? undefined : Math.max(...this.#recent);
  }

  /** The recent refusals of one second, in seconds of work at the estimated throughput. */
  get excess(): number {
    const { perSecond } = this;
    return perSecond === undefined ? 0 : this.#refusedPerSecond / Math.max(1, perSecond);
  }

  /** @param left requests still in progress */
  served(nowMs: number, left: number): void {
    this.update(nowMs);
    this.#served += 1;
    if (left === 0) this.#wasIdle = true;
  }

  refused(nowMs: number): void {
    this.update(nowMs);
    this.#refused += 1;
  }

  /** Closes the window when its time is over. Call it also while nothing is served. */
  update(nowMs: number): void {
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < windowMs) return;
    // A window with an idle moment measures the arrivals, not the capacity.
    if (!this.#wasIdle) this.#recent.push((this.#served * 1000) / elapsedMs);
    if (this.#recent.length > windows) this.#recent.shift();
    this.#refusedPerSecond = (this.#refusedPerSecond + (this.#refused * 1000) / elapsedMs) / 2;
    this.#sinceMs = nowMs;
    this.#served = 0;
    this.#refused = 0;
    this.#wasIdle = false;
  }
}
