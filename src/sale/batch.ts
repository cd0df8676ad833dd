/**
 * Resolution: repeats a batch until it has an answer, without the requests whose deadline has passed. Each attempt finds out
 * whether the previous one committed, so a buyer who may have bought is never answered "failed".
 */
import { setTimeout as pause } from 'node:timers/promises';
import { classify } from '../db/faults.js';
import { Attempt, AttemptFault, type Doubt, worse } from './attempt.js';
import { eventOf, expectsRefusals, type QueueKey } from './buyersAtLimit.js';
import type { RequestInProgress } from './inProgress.js';
import type { SaleObserver } from './sale.js';
import type { Outcome, SaleRequest } from './types.js';

/** The result of a request; `failed` if the database rejects this request alone, which is a bug in this service. */
export type Resolved = Outcome | { readonly kind: 'failed'; readonly error: unknown };

/** Between two attempts: 20 to 100 ms at random, so that the replicas do not overload a database that has just recovered. */
const pauseMs = () => 20 + Math.random() * 80;

/** Serves one attempt. */
export interface AttemptServer<R extends SaleRequest> {
  /** @returns one outcome per request that `begin` returned last, in order. @throws AttemptFault */
  serve(attempt: Attempt<R>): Promise<readonly Outcome[]>;
}

export class Batches<R extends SaleRequest> {
  readonly #server: AttemptServer<R>;
  readonly #observer: Pick<SaleObserver, 'began' | 'fault'>;

  constructor(server: AttemptServer<R>, observer: Pick<SaleObserver, 'began' | 'fault'>) {
    this.#server = server;
    this.#observer = observer;
  }

  /**
   * @param queue of all requests; empty if they are of several events
   * @param doubt of the earlier attempts
   * @returns one answer per request, in order; never throws
   */
  async serve(queue: QueueKey, batch: readonly RequestInProgress<R>[], doubt: Doubt = 'not committed'): Promise<readonly Resolved[]> {
    let failed = doubt !== 'not committed';
    for (;;) {
      const attempt = new Attempt(eventOf(queue), batch, doubt, failed, expectsRefusals(queue), (carried) => {
        this.#observer.began(carried.length, performance.now() - (carried[0]?.admittedAtMs ?? 0));
      });
      try {
        return attempt.answers(await this.#server.serve(attempt));
      } catch (error) {
        const fault = classify(error);
        const { eventId, requests, path } = attempt;
        this.#observer.fault(fault, error, { eventId, requests, path, failedBefore: failed });
        doubt = worse(doubt, error instanceof AttemptFault ? error.doubt : 'in doubt');
        attempt.end(doubt);
        if (fault.transient) {
          await pause(pauseMs());
        } else if (failed) {
          // Perhaps only some requests are at fault; halving isolates them, so that the others can still be served.
          if (batch.length > 1) return this.#inHalves(queue, batch, doubt);
          if (doubt === 'not committed') return [{ kind: 'failed', error }];
          await pause(pauseMs());
        }
        failed = true;
      }
    }
  }

  async #inHalves(queue: QueueKey, batch: readonly RequestInProgress<R>[], doubt: Doubt): Promise<readonly Resolved[]> {
    const middle = batch.length >>> 1;
    const first = await this.serve(queue, batch.slice(0, middle), doubt);
    return [...first, ...(await this.serve(queue, batch.slice(middle), doubt))];
  }
}
