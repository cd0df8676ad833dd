/**
 * Availability in real time. Reads are batched as purchases are: reads that arrive while a query is running share the next
 * query, which covers all requested events. Each read is answered by a query that started after the read arrived, so it counts
 * every purchase answered before. The database sees a few queries at a time however many people refresh. (Answering from the
 * query that is already running would be faster, but stale.)
 *
 * Events that such a query does not find are queried again, one query at a time, with proof that they do not exist. The proof
 * is a commit, and only requests for invented ids wait for it.
 */
import type { Pool } from '../db/client.js';
import { Batcher } from '../concurrency/batcher.js';
import type { EventRow } from '../sql/eventColumns.js';
import { readEvents, readEventsUnfenced } from '../sql/readEvents.js';
import { Admission, type AdmissionLimits } from './admission.js';

export type ReadOutcome =
  | { readonly kind: 'found'; readonly event: EventRow }
  | { readonly kind: 'event-not-found' }
  | { readonly kind: 'overloaded'; readonly retryAfterSeconds: number };

export interface Availability {
  /** @throws the database's error of the shared query */
  read(eventId: string): Promise<ReadOutcome>;
}

export interface AvailabilityLimits extends AdmissionLimits {
  readonly queriesInFlightMax: number;
  /** Reads that share one query. */
  readonly batchReadsMax: number;
}

const everyEvent = 'every event';

/** @param onRefused called for each read that is refused */
export function createAvailability(pool: Pool, limits: AvailabilityLimits, onRefused: () => void): Availability {
  const admission = new Admission<string>(limits);
  const readBy = (query: typeof readEvents, queriesMax: number) =>
    new Batcher<string, string, ReadOutcome>({
      run: async (_key, eventIds) => {
        const events = await query(pool.prisma, [...new Set(eventIds)]);
        const byId = new Map(events.map((event) => [event.id, event]));
        return eventIds.map((id) => {
          const event = byId.get(id);
          return event ? { kind: 'found', event } : { kind: 'event-not-found' };
        });
      },
      batchSizeMax: limits.batchReadsMax,
      runningPerKeyMax: queriesMax,
    });
  const queue = readBy(readEventsUnfenced, limits.queriesInFlightMax);
  const missing = readBy(readEvents, 1);

  async function lookUp(eventId: string): Promise<ReadOutcome> {
    const outcome = await queue.submit(everyEvent, eventId);
    return outcome.kind === 'event-not-found' ? missing.submit(everyEvent, eventId) : outcome;
  }

  const overloaded = (retryAfterSeconds: number): ReadOutcome => {
    onRefused();
    return { kind: 'overloaded', retryAfterSeconds };
  };
  return {
    read: async (eventId) => {
      if (admission.refuses(everyEvent) !== undefined) return overloaded(admission.shed());
      return admission.serve(everyEvent, lookUp(eventId), () => overloaded(admission.retryAfterSeconds()));
    },
  };
}
