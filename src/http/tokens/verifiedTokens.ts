/** Buyers' tokens that were verified recently. */

interface Entry {
  readonly buyerId: string;
  readonly untilMs: number;
}

/**
 * Bounded in count, and in bytes too: an entry has a digest of 44 characters and a buyer's id of at most 100, not the token. 50,000
 * entries take 11 MB with ids of 36 characters, and 17 MB with the longest ids.
 */
export class VerifiedTokens {
  readonly #entries = new Map<string, Entry>();
  readonly #countMax: number;

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  get count(): number {
    return this.#entries.size;
  }

  /** @returns the buyer; undefined if the token is not here, or not any more */
  buyerOf(digest: string, nowMs: number): string | undefined {
    const entry = this.#entries.get(digest);
    if (entry === undefined || nowMs < entry.untilMs) return entry?.buyerId;
    this.#entries.delete(digest);
    return undefined;
  }

  /** All entries live for about as long, so the one that was added first is the one to forget when there are too many. */
  add(digest: string, buyerId: string, untilMs: number): void {
    this.#entries.delete(digest);
    this.#entries.set(digest, { buyerId, untilMs });
    if (this.#entries.size <= this.#countMax) return;
    const [oldest] = this.#entries.keys();
    if (oldest !== undefined) this.#entries.delete(oldest);
  }
}
