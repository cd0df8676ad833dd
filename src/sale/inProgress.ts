/**
 * A request in progress: admitted and not yet answered. Its state determines its answer at the deadline and the
 * attempts that may carry it:
 *
 *     queued ⇄ in an attempt → in doubt → answered
 *
 * An attempt that did not commit returns it to `queued`; one that may have committed leaves it in doubt. An answer, of an attempt
 * or of the deadline, leads from every state to `answered`, which is final.
 */
import type { Doubt } from './attempt.js';
import type { Outcome, SaleRequest } from './types.js';

export type RequestState = 'queued' | 'in an attempt' | 'in doubt' | 'answered';

export interface ProgressLimits {
  /** From admission to the answer, in milliseconds. */
  readonly deadlineMs: number;
  readonly retryAfterSeconds: () => number;
}

/**
 * The last part of the deadline, reserved for the transaction. Under overload the requests being served are those that waited
 * longest; without the reserve they would buy tickets and be answered that the outcome is unknown.
 */
const reservedShare = 0.2;

export class RequestInProgress<R extends SaleRequest> {
  readonly admittedAtMs = performance.now();
  readonly #deadlineAtMs: number;
  readonly #limits: ProgressLimits;
  readonly #isGone: (() => boolean) | undefined;
  #state: RequestState = 'queued';

  /** @param isGone whether the client has disconnected: then no attempt needs to begin for it */
  constructor(
    readonly request: R,
    limits: ProgressLimits,
    isGone?: () => boolean,
  ) {
    this.#limits = limits;
    this.#deadlineAtMs = this.admittedAtMs + limits.deadlineMs;
    this.#isGone = isGone;
  }

  get state(): RequestState {
    return this.#state;
  }

  /**
   * Whether an attempt may carry the request. A first attempt needs time to end before the deadline and a client that is still
   * connected. After an attempt in doubt, only the requests that it carried may be carried again, until the deadline.
   */
  mayBegin(doubt: Doubt): boolean {
    const { deadlineMs } = this.#limits;
    if (doubt !== 'not committed') return this.#state === 'in doubt' && performance.now() < this.#deadlineAtMs;
    return this.#state === 'queued' && !this.#isDisconnected() && performance.now() < this.#deadlineAtMs - deadlineMs * reservedShare;
  }

  /** Call it when an attempt is about to carry the request. */
  begin(): void {
    if (this.#state === 'queued') this.#state = 'in an attempt';
  }

  /** Call it when the attempt ended without an answer. @param doubt of all attempts so far */
  end(doubt: Doubt): void {
    if (this.#state !== 'in an attempt') return;
    this.#state = doubt === 'not committed' ? 'queued' : 'in doubt';
  }

  /** Call it when an attempt has its answer. */
  answer(): void {
    this.#state = 'answered';
  }

  /** The answer at the deadline: refused if no attempt carries the request; unknown, never "failed", if one may have committed. */
  answerLate(): Outcome {
    const begun = this.#state === 'in an attempt' || this.#state === 'in doubt';
    this.answer();
    const retryAfterSeconds = this.#limits.retryAfterSeconds();
    if (begun) return { kind: 'outcome-unknown', purchaseId: this.request.purchaseId, retryAfterSeconds };
    return { kind: 'overloaded', reason: this.#isDisconnected() ? 'client gone' : 'too late', retryAfterSeconds };
  }

  #isDisconnected(): boolean {
    return this.#isGone?.() ?? false;
  }
}
