/** Chance that can be had again: everything a run leaves to chance comes from one printed seed. */
export class Random {
  #state: number;

  /** @param name so that each scenario has a course of its own, whichever others run before it */
  constructor(seed: number, name = '') {
    this.#state = Buffer.from(name).reduce((state, byte) => Math.imul(state ^ byte, 0x01000193), seed ^ 0x811c9dc5);
  }

  /** From 0 up to 1, without 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  between(low: number, high: number): number {
    return low + this.next() * (high - low);
  }

  /** A whole number from `low` to `high`, both included. */
  whole(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.whole(0, list.length - 1)]!;
  }

  shuffled<T>(list: readonly T[]): T[] {
    const cards = [...list];
    for (let last = cards.length - 1; last > 0; last -= 1) {
      const other = this.whole(0, last);
      [cards[last], cards[other]] = [cards[other]!, cards[last]!];
    }
    return cards;
  }
}

/** FAULT_SEED if it is set, else what the run's set-up drew and printed. */
export const seed = Number(process.env['FAULT_SEED'] ?? 1);
