/**
 * The tickets held of an event, as a refusal states them. It takes a read of every hold; a crowd at an event all of whose
 * tickets are held would keep Postgres busy with that alone. So the number is exact for up to `heldCountedMax` holds; beyond that
 * it is counted anew only after 20 times the time that counting took, and may be that old.
 */
import type { Queryable } from '../db/client.js';
import { heldCountedMax, readHeld } from '../sql/readHeld.js';

const reusedFactor = 20;
const eventsMax = 1_000;
const everyHold = 10_000_000;

interface Count {
  readonly held: number;
  readonly usableUntilMs: number;
}

export class HeldCounts {
  readonly #counts = new Map<string, Count>();

  async read(db: Queryable, eventId: string): Promise<number> {
    const { held, isComplete } = await readHeld(db, eventId, heldCountedMax);
    return isComplete ? held : this.countAll(db, eventId);
  }

  /** For an event with more holds than `heldCountedMax`. */
  async countAll(db: Queryable, eventId: string): Promise<number> {
    const beganAtMs = performance.now();
    const known = this.#counts.get(eventId);
    if (known && beganAtMs < known.usableUntilMs) return known.held;
    const { held } = await readHeld(db, eventId, everyHold);
    const endedAtMs = performance.now();
    this.#counts.delete(eventId);
    this.#counts.set(eventId, { held, usableUntilMs: endedAtMs + (endedAtMs - beganAtMs) * reusedFactor });
    const [oldest] = this.#counts.keys();
    if (this.#counts.size > eventsMax && oldest !== undefined) this.#counts.delete(oldest);
    return held;
  }
}
