/**
 * How fast requests are served. By Little's law (requests in the system = rate × wait) the estimate says how many may be admitted
 * so that the last of them does not wait too long: a bound that follows the machine, the batch sizes and the database.
 */

/** Long enough for a few batches. */
const windowMs = 250;
/**
 * The windows that are remembered; the best of them counts. Short enough to follow a database that stalls, long enough not to
 * take a moment in which thousands connect for the whole capacity. The mean of what was served refused 3 to 6 % of 2,560 to
 * 4,000 clients that could all have been served; an estimate after half a second refused 7,000 requests at the start of a
 * rush of 4,000.
 */
const windows = 4;

export class ThroughputEstimate {
  #sinceMs = performance.now();
  #served = 0;
  #refused = 0;
  #wasIdle = false;
  readonly #recent: number[] = [];
  #refusedPerSecond = 0;

  /** Requests served per second, recently; undefined until it was measured for a second in which requests waited all the time. */
  get perSecond(): number | undefined {
    return this.#recent.length < windows ? undefined : Math.max(...this.#recent);
  }

  /** How many seconds' worth of work was refused in each of the last seconds. */
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

  /** Closes the window when its time is over, also while nothing is served. */
  update(nowMs: number): void {
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < windowMs) return;
    // A window with an idle moment shows how many requests came, not how many could be served.
    if (!this.#wasIdle) this.#recent.push((this.#served * 1000) / elapsedMs);
    if (this.#recent.length > windows) this.#recent.shift();
    this.#refusedPerSecond = (this.#refusedPerSecond + (this.#refused * 1000) / elapsedMs) / 2;
    this.#sinceMs = nowMs;
    this.#served = 0;
    this.#refused = 0;
    this.#wasIdle = false;
  }
}
