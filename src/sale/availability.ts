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
  const readBy = (query: typeof readEvents, queriesMax: number, notFound: (eventId: string) => ReadOutcome | Promise<ReadOutcome>) =>
    new Batcher<string, string, ReadOutcome>({
      run: async (_key, eventIds) => {
        const events = await query(pool.prisma, [...new Set(eventIds)]);
        const found = new Map<string, ReadOutcome>(events.map((event) => [event.id, { kind: 'found', event }]));
        return eventIds.map((id) => found.get(id) ?? notFound(id));
      },
      batchSizeMax: limits.batchReadsMax,
      runningPerKeyMax: queriesMax,
    });
  const missing = readBy(readEvents, 1, () => ({ kind: 'event-not-found' }));
  // Resolving a read with the promise of another one lets it wait alone: the others of its query are answered.
  const queue = readBy(readEventsUnfenced, limits.queriesInFlightMax, (eventId) => missing.submit(everyEvent, eventId));

  const overloaded = (retryAfterSeconds: number): ReadOutcome => {
    onRefused();
    return { kind: 'overloaded', retryAfterSeconds };
  };
  return {
    read: (eventId) => {
      if (admission.refuses(everyEvent) !== undefined) return Promise.resolve(overloaded(admission.shed()));
      return admission.serve(everyEvent, queue.submit(everyEvent, eventId), () => overloaded(admission.retryAfterSeconds()));
    },
  };
}
