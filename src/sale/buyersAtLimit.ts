/**
 * Buyers who were refused for their total. On the fast path one more request of such a buyer would fail the statement of the whole
 * batch, so those requests wait in a queue of their own, whose batches begin on the snapshot path. It is only a hint: a buyer whose
 * total has fallen meanwhile is served there too, on the locked path.
 */
import type { EventRequest, Outcome } from './types.js';

/** About 2 MB. Beyond it the buyer who was refused first is forgotten; that buyer's next request costs one failed statement. */
const buyersMax = 10_000;
const eventIdLength = 36;
const suffix = ' at limit';

/** A queue of requests of one event, as a key of the batcher. */
export type QueueKey = string;

export class BuyersAtLimit {
  readonly #buyers = new Set<string>();
  readonly #buyersMax: number;

  constructor(max = buyersMax) {
    this.#buyersMax = max;
  }

  queueOf(eventId: string, request: EventRequest): QueueKey {
    if (this.#buyers.size === 0 || request.kind !== 'buy' || request.buyerId === null) return eventId;
    return this.#buyers.has(eventId + request.buyerId) ? eventId + suffix : eventId;
  }

  /** Call it with each outcome. */
  learn(eventId: string, request: EventRequest, outcome: { readonly kind: Outcome['kind']; readonly replayed?: boolean }): void {
    if (request.kind !== 'buy' || request.buyerId === null) return;
    const buyer = eventId + request.buyerId;
    // A replay says nothing about the total, and a buyer could send one between any two attempts.
    if (outcome.kind === 'granted' && outcome.replayed !== true) this.#buyers.delete(buyer);
    if (outcome.kind !== 'buyer-limit-exceeded') return;
    this.#buyers.add(buyer);
    if (this.#buyers.size <= this.#buyersMax) return;
    const [oldest] = this.#buyers;
    if (oldest !== undefined) this.#buyers.delete(oldest);
  }
}

export function eventOf(queue: QueueKey): string {
  return queue.slice(0, eventIdLength);
}

/** Whether the requests of this queue are expected to be refused. */
export function expectsRefusals(queue: QueueKey): boolean {
  return queue.length > eventIdLength;
}
