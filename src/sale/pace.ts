/**
 * How fast a line is served. With Little's law (what waits = rate × wait) it says how long a line may be so that the last one
 * in it does not wait too long: a bound that follows the machine, the batch sizes and the database by itself.
 */

/** Long enough for a few batches, short enough to follow a database that stalls. */
const windowMs = 250;

export class Pace {
  #sinceMs = performance.now();
  #served = 0;
  #refused = 0;
  #everIdle = false;
  #perSecond: number | undefined;
  #refusedPerSecond = 0;

  /** Requests served per second of late; undefined until it was seen while somebody waited all the time. */
  get perSecond(): number | undefined {
    return this.#perSecond;
  }

  /** How many seconds' worth of work was refused in each second of late. */
  get excess(): number {
    return this.#perSecond === undefined ? 0 : this.#refusedPerSecond / Math.max(1, this.#perSecond);
  }

  /** @param waiting how many are still in line */
  served(nowMs: number, waiting: number): void {
    this.#served += 1;
    if (waiting === 0) this.#everIdle = true;
    this.look(nowMs);
  }

  refused(nowMs: number): void {
    this.#refused += 1;
    this.look(nowMs);
  }

  /** Takes the measure when its time has come; also when nobody is served. */
  look(nowMs: number): void {
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < windowMs) return;
    // A line that was empty for a while shows how many came, not how many could be served.
    if (!this.#everIdle) this.#perSecond = mean(this.#perSecond, (this.#served * 1000) / elapsedMs);
    this.#refusedPerSecond = mean(this.#refusedPerSecond, (this.#refused * 1000) / elapsedMs);
    this.#sinceMs = nowMs;
    this.#served = 0;
    this.#refused = 0;
    this.#everIdle = false;
  }
}

/** Half of what was, half of what is. */
function mean(before: number | undefined, now: number): number {
  return before === undefined ? now : (before + now) / 2;
}
