/**
 * Resolution: the same batch again, without the requests whose deadline has passed meanwhile, until it has an answer. Whatever
 * became of an attempt, the next one finds out; no buyer who may have bought is told "failed".
 */
import { setTimeout as pause } from 'node:timers/promises';
import { classify } from '../db/faults.js';
import { Attempt, AttemptFault, type Doubt, worse } from './attempt.js';
import type { PurchaseInProgress } from './inProgress.js';
import type { Paths } from './pathChoice.js';
import type { SaleObserver } from './sale.js';
import type { Outcome } from './types.js';

/** What became of a request; `failed` if the database refuses it, and it alone: a bug in this service. */
export type Resolved = Outcome | { readonly kind: 'failed'; readonly error: unknown };

/** Between two attempts at a batch: 20 to 100 ms at random, so that replicas do not storm a database that has just come back. */
const pauseMs = () => 20 + Math.random() * 80;

export class Batches {
  readonly #paths: Pick<Paths, 'sell'>;
  readonly #observer: Pick<SaleObserver, 'began' | 'fault'>;

  constructor(paths: Pick<Paths, 'sell'>, observer: Pick<SaleObserver, 'began' | 'fault'>) {
    this.#paths = paths;
    this.#observer = observer;
  }

  /**
   * @param batch of one event
   * @param doubt of the attempts at it before
   * @returns one answer per request, in order; never throws
   */
  async sell(eventId: string, batch: readonly PurchaseInProgress[], doubt: Doubt = 'not committed'): Promise<readonly Resolved[]> {
    let failed = doubt !== 'not committed';
    for (;;) {
      const attempt = new Attempt(eventId, batch, doubt, failed, (carried) => {
        this.#observer.began(carried.length, performance.now() - (carried[0]?.admittedAtMs ?? 0));
      });
      try {
        return attempt.answers(await this.#paths.sell(attempt));
      } catch (error) {
        const fault = classify(error);
        this.#observer.fault(fault, error);
        doubt = worse(doubt, error instanceof AttemptFault ? error.doubt : 'in doubt');
        attempt.end(doubt);
        if (fault.transient) {
          await pause(pauseMs());
        } else if (failed) {
          // One request may be at fault, or all of them: those that are not must not suffer for it.
          if (batch.length > 1) return this.#inHalves(eventId, batch, doubt);
          if (doubt === 'not committed') return [{ kind: 'failed', error }];
          await pause(pauseMs());
        }
        failed = true;
      }
    }
  }

  async #inHalves(eventId: string, batch: readonly PurchaseInProgress[], doubt: Doubt): Promise<readonly Resolved[]> {
    const middle = batch.length >>> 1;
    const first = await this.sell(eventId, batch.slice(0, middle), doubt);
    return [...first, ...(await this.sell(eventId, batch.slice(middle), doubt))];
  }
}
