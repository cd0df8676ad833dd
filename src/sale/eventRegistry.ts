/**
 * What a replica remembers of each event: its rules, and how its last batch went. All of it is a hint. Rules are checked by the
 * statement that rests on them, and a path that turns out wrong costs one attempt.
 */
import type { Rules } from './types.js';

/** Which path the next batch of an event is most likely to take. `row held`: another session keeps the row locked. */
export type PathHint = 'fast' | 'snapshot' | 'locked' | 'row held';

/** Batches of an event after which a replay is no longer expected. */
const replaysExpectedBatches = 200;
/** About 40 MB; beyond it, the events whose last batch was longest ago are looked up again. */
const eventsMax = 100_000;

interface Entry {
  rules: Rules;
  hint: PathHint;
  /** Batches left in which replays are expected. */
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

  /** `locked` for an unknown event: that path supposes nothing, and learns the rules. */
  hintOf(eventId: string): PathHint {
    return this.#entries.get(eventId)?.hint ?? 'locked';
  }

  expectsReplays(eventId: string): boolean {
    return (this.#entries.get(eventId)?.replaysExpected ?? 0) > 0;
  }

  /** Keeps the newest rules: a slow read may bring older ones than are known. */
  learn(eventId: string, rules: Rules): void {
    const entry = this.#entries.get(eventId);
    if (!entry) this.#add(eventId, { rules, hint: 'fast', replaysExpected: 0 });
    else if (rules.revision > entry.rules.revision) entry.rules = rules;
  }

  /** A batch of the event has ended, on whatever path. */
  remember(eventId: string, hint: PathHint, sawReplay: boolean): void {
    const entry = this.#entries.get(eventId);
    if (!entry) return;
    entry.hint = hint;
    if (sawReplay) entry.replaysExpected = replaysExpectedBatches;
    else if (entry.replaysExpected > 0) entry.replaysExpected -= 1;
    // A Map iterates in the order of insertion, so the first entry is the one that was used longest ago.
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
