/**
 * A purchase request in progress: admitted, and not yet answered. Its state says what its answer may be at the deadline, and
 * which attempts may carry it:
 *
 *     queued ⇄ in an attempt → in doubt → answered
 *
 * An attempt that did not commit puts it back to `queued`; one that may have committed leaves it in doubt. From every state the
 * deadline leads to `answered`, and nothing leads away from there.
 */
import type { Doubt } from './attempt.js';
import type { Outcome, PurchaseRequest } from './types.js';

export type RequestState = 'queued' | 'in an attempt' | 'in doubt' | 'answered';

export interface ProgressLimits {
  /** From admission to the answer, in milliseconds. */
  readonly deadlineMs: number;
  readonly retryAfterSeconds: () => number;
}

/**
 * The last part of a deadline, kept for the transaction itself: under a load that cannot be carried, the requests served are
 * those that waited longest, and without it they would buy tickets and be told that the outcome is unknown.
 */
const reservedShare = 0.2;

export class PurchaseInProgress {
  readonly admittedAtMs = performance.now();
  readonly #deadlineAtMs: number;
  readonly #limits: ProgressLimits;
  readonly #isGone: (() => boolean) | undefined;
  #state: RequestState = 'queued';

  /** @param isGone whether the client has hung up: then nothing need begin for it */
  constructor(
    readonly request: PurchaseRequest,
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
   * Whether an attempt may carry it. A first attempt must be able to end before the deadline, and somebody must be there to be
   * told. After one in doubt, only what that one carried may be carried again, up to the last moment.
   */
  mayBegin(doubt: Doubt): boolean {
    const { deadlineMs } = this.#limits;
    if (doubt !== 'not committed') return this.#state === 'in doubt' && performance.now() < this.#deadlineAtMs;
    return this.#state === 'queued' && !this.#hasHungUp() && performance.now() < this.#deadlineAtMs - deadlineMs * reservedShare;
  }

  /** An attempt carries it from here on. */
  begin(): void {
    if (this.#state === 'queued') this.#state = 'in an attempt';
  }

  /** The attempt that carried it ended without an answer. @param doubt of all attempts up to that one */
  end(doubt: Doubt): void {
    if (this.#state !== 'in an attempt') return;
    this.#state = doubt === 'not committed' ? 'queued' : 'in doubt';
  }

  /** The answer of the deadline: refused if no attempt carries it; unknown, and never "failed", if one may have committed. */
  answerLate(): Outcome {
    const begun = this.#state === 'in an attempt' || this.#state === 'in doubt';
    this.#state = 'answered';
    const retryAfterSeconds = this.#limits.retryAfterSeconds();
    if (begun) return { kind: 'outcome-unknown', purchaseId: this.request.purchaseId, retryAfterSeconds };
    return { kind: 'overloaded', reason: this.#hasHungUp() ? 'client gone' : 'too late', retryAfterSeconds };
  }

  #hasHungUp(): boolean {
    return this.#isGone?.() ?? false;
  }
}
