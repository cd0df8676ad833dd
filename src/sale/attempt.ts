/** One attempt at a batch, the requests that it carries, and what may have become of it. */
import type { PurchaseInProgress } from './inProgress.js';
import type { Outcome, PurchaseRequest } from './types.js';

/**
 * What may have become of an attempt without an answer. `not committed`: nothing, and nothing will. `in doubt`: its COMMIT was
 * sent, under the row lock. `in doubt and unfenced`: it was sent without the lock, and may even arrive after the next attempt.
 */
export type Doubt = 'not committed' | 'in doubt' | 'in doubt and unfenced';

const doubts: readonly Doubt[] = ['not committed', 'in doubt', 'in doubt and unfenced'];

export function worse(one: Doubt, other: Doubt): Doubt {
  return doubts.indexOf(one) > doubts.indexOf(other) ? one : other;
}

/** An attempt that threw. */
export class AttemptFault extends Error {
  override readonly name = 'AttemptFault';

  constructor(
    cause: unknown,
    readonly doubt: Doubt,
  ) {
    super('an attempt at a batch failed', { cause });
  }
}

export class Attempt {
  #carried: readonly PurchaseInProgress[] = [];

  /**
   * @param batch of one event; which of it the attempt carries is seen when it begins, because it waits for a connection first
   * @param doubt of the attempts before this one
   * @param failedBefore whether there was an attempt before this one, in doubt or not
   * @param onBegin told of the requests when a transaction is about to carry them; at most once
   */
  constructor(
    readonly eventId: string,
    readonly batch: readonly PurchaseInProgress[],
    readonly doubt: Doubt,
    readonly failedBefore: boolean,
    private onBegin?: (carried: readonly PurchaseInProgress[]) => void,
  ) {}

  /**
   * A transaction is about to carry it.
   *
   * @returns the requests for which it is not too late. A request that an attempt in doubt did not carry does not join a later one:
   *   it could be sold to while the refusal of another rests on an attempt without it.
   */
  begin(): readonly PurchaseRequest[] {
    this.#carried = this.batch.filter((each) => each.mayBegin(this.doubt));
    for (const each of this.#carried) each.begin();
    if (this.#carried.length > 0) {
      this.onBegin?.(this.#carried);
      this.onBegin = undefined;
    }
    return this.#carried.map(({ request }) => request);
  }

  /** The transaction ended without an answer. @param doubt of this attempt and those before it */
  end(doubt: Doubt): void {
    for (const each of this.#carried) each.end(doubt);
  }

  /** @param outcomes of the requests that `begin` returned last. @returns one answer for each of the batch, in order */
  answers(outcomes: readonly Outcome[]): readonly Outcome[] {
    if (outcomes.length === this.batch.length) return outcomes;
    const byRequest = new Map(this.#carried.map((each, index) => [each, outcomes[index]]));
    return this.batch.map((each) => byRequest.get(each) ?? each.answerLate());
  }
}
