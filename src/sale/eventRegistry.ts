/**
 * What a replica remembers about each event: its rules, and the result of its last batch. All of it is only a hint. The statement
 * that relies on cached rules checks them, and a wrong path costs one extra attempt.
 */
import type { Rules } from './types.js';

/** The path that the next batch of an event tries first. `row held`: the locked path, because another session keeps the row locked. */
export type PathHint = 'fast' | 'snapshot' | 'locked' | 'row held';

/** After a replay, further replays are expected for this many batches of the event. */
const replaysExpectedBatches = 200;
/** About 18 MB. Beyond it the events with the least recent batch are dropped, and looked up again when needed. */
const eventsMax = 100_000;

interface Entry {
  rules: Rules;
  hint: PathHint;
  /** Further batches in which replays are expected. */
  replaysExpected: number;
}

export class EventRegistry {
  readonly #entries = new Map<string, Entry>();
  readonly #eventsMax: number;

  constructor(max = eventsMax) {
    this.#eventsMax = max;
  }

  has(eventId: string): boolean {
    return this.#entries.has(eventId);
  }

  rulesOf(eventId: string): Rules | undefined {
    return this.#entries.get(eventId)?.rules;
  }

  /** `locked` for an unknown event: the locked path needs no cached rules, and reads them. */
  hintOf(eventId: string): PathHint {
    return this.#entries.get(eventId)?.hint ?? 'locked';
  }

  expectsReplays(eventId: string): boolean {
    return (this.#entries.get(eventId)?.replaysExpected ?? 0) > 0;
  }

  /** Keeps the newest rules: a slow read may return older rules than the cached ones. */
  learn(eventId: string, rules: Rules): void {
    const entry = this.#entries.get(eventId);
    if (!entry) this.#add(eventId, { rules, hint: 'fast', replaysExpected: 0 });
    else if (rules.revision > entry.rules.revision) entry.rules = rules;
  }

  /** Records the result of a batch, on any path. */
  remember(eventId: string, hint: PathHint, sawReplay: boolean): void {
    const entry = this.#entries.get(eventId);
    if (!entry) return;
    entry.hint = hint;
    if (sawReplay) entry.replaysExpected = replaysExpectedBatches;
    else if (entry.replaysExpected > 0) entry.replaysExpected -= 1;
    // A Map iterates in insertion order, so reinserting makes the first entry the least recently used one.
    this.#entries.delete(eventId);
    this.#entries.set(eventId, entry);
  }

  #add(eventId: string, entry: Entry): void {
    if (this.#entries.size >= this.#eventsMax) {
      const [oldest] = this.#entries.keys();
      if (oldest !== undefined) this.#entries.delete(oldest);
    }
    this.#entries.set(eventId, entry);
  }
}
