/**
 * How fast a line is served. With Little's law (what waits = rate × wait) it says how long a line may be so that the last one
 * in it does not wait too long: a bound that follows the machine, the batch sizes and the database by itself.
 */

/** Long enough for a few batches. */
const windowMs = 250;
/**
 * So many windows are remembered, and the best of them counts: short enough to follow a database that stalls, long enough not to
 * take a moment in which thousands connect for all that can be served. The mean of what was served refused 3 to 6 % of 2,560 to
 * 4,000 clients who could all have been served, and a pace known after half a second 7,000 in the first moments of a storm of 4,000.
 */
const windows = 4;

export class Pace {
  #sinceMs = performance.now();
  #served = 0;
  #refused = 0;
  #everIdle = false;
  readonly #recent: number[] = [];
  #refusedPerSecond = 0;

  /** Requests served per second of late; undefined until it was seen for a second in which somebody waited all the time. */
  get perSecond(): number | undefined {
    return this.#recent.length < windows ? undefined : Math.max(...this.#recent);
  }

  /** How many seconds' worth of work was refused in each second of late. */
  get excess(): number {
    const { perSecond } = this;
    return perSecond === undefined ? 0 : this.#refusedPerSecond / Math.max(1, perSecond);
  }

  /** @param waiting how many are still in line */
  served(nowMs: number, waiting: number): void {
    this.look(nowMs);
    this.#served += 1;
    if (waiting === 0) this.#everIdle = true;
  }

  refused(nowMs: number): void {
    this.look(nowMs);
    this.#refused += 1;
  }

  /** Takes the measure when its time has come; also when nobody is served. */
  look(nowMs: number): void {
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < windowMs) return;
    // A line that was empty for a while shows how many came, not how many could be served.
    if (!this.#everIdle) this.#recent.push((this.#served * 1000) / elapsedMs);
    if (this.#recent.length > windows) this.#recent.shift();
    this.#refusedPerSecond = (this.#refusedPerSecond + (this.#refused * 1000) / elapsedMs) / 2;
    this.#sinceMs = nowMs;
    this.#served = 0;
    this.#refused = 0;
    this.#everIdle = false;
  }
}
