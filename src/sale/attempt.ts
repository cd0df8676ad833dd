/** One attempt at a batch: the requests that it carries, and whether it may have committed. */
import type { RequestInProgress } from './inProgress.js';
import type { Outcome, SaleRequest } from './types.js';

/**
 * The possible effect of an attempt that got no answer. `not committed`: it had no effect and never will. `in doubt`: its COMMIT was
 * sent under the row lock. `in doubt and unfenced`: it was sent without the lock, and may even arrive after the next attempt.
 */
export type Doubt = 'not committed' | 'in doubt' | 'in doubt and unfenced';

/** The way on which an attempt was served. */
export type Path = 'fast' | 'snapshot' | 'locked' | 'confirm';

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

export class Attempt<R extends SaleRequest> {
  #carried: readonly RequestInProgress<R>[] = [];
  #path: Path | undefined;

  /**
   * @param eventId of all requests; empty if they are of several events
   * @param batch The attempt waits for a connection first, so `begin` decides which of them it carries
   * @param doubt of the earlier attempts
   * @param failedBefore whether an earlier attempt failed, in doubt or not
   * @param onBegin called at most once, with the requests that a transaction is about to carry
   */
  constructor(
    readonly eventId: string,
    readonly batch: readonly RequestInProgress<R>[],
    readonly doubt: Doubt,
    readonly failedBefore: boolean,
    /** Whether every request of the batch is expected to be refused. */
    readonly expectsRefusals = false,
    private onBegin?: (carried: readonly RequestInProgress<R>[]) => void,
  ) {}

  /** The requests that the last transaction carried. */
  get requests(): number {
    return this.#carried.length;
  }

  /** The path of the last transaction; undefined before the first. */
  get path(): Path | undefined {
    return this.#path;
  }

  /**
   * Call it when a transaction is about to carry the batch.
   *
   * @param path of the transaction
   * @returns the requests that are not too late. A request that an attempt in doubt did not carry does not join a later attempt:
   *   it could buy tickets although another request was refused by an attempt that did not include it.
   */
  begin(path: Path): readonly R[] {
    this.#path = path;
    this.#carried = this.batch.filter((each) => each.mayBegin(this.doubt));
    for (const each of this.#carried) each.begin();
    if (this.#carried.length > 0) {
      this.onBegin?.(this.#carried);
      this.onBegin = undefined;
    }
    return this.#carried.map(({ request }) => request);
  }

  /** Call it when the transaction ended without an answer. @param doubt of this attempt and the earlier ones */
  end(doubt: Doubt): void {
    for (const each of this.#carried) each.end(doubt);
  }

  /** @param outcomes of the requests that `begin` returned last. @returns one answer per request of the batch, in order */
  answers(outcomes: readonly Outcome[]): readonly Outcome[] {
    for (const each of this.#carried) each.answer();
    if (outcomes.length === this.batch.length) return outcomes;
    const byRequest = new Map(this.#carried.map((each, index) => [each, outcomes[index]]));
    return this.batch.map((each) => byRequest.get(each) ?? each.answerLate());
  }
}
