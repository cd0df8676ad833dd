/**
 * What is left, in real time. Reads use the same primitive as sales: those that arrive while a query is running share
 * the next one, one query for all events asked for. Each read is answered by a query that started after the read
 * arrived, so it counts every purchase that was answered before, and the database sees a few queries at a time however
 * many people refresh. (A cache that answers with the running query would be faster and stale.)
 *
 * Events that such a query does not find are looked for once more, together and one query at a time, with proof that they do
 * not exist. The proof is a commit; made-up ids wait for it, and nobody else does.
 */
import type { Pool } from '../db/client.js';
import { Batcher } from '../concurrency/batcher.js';
import type { EventRow } from '../sql/eventColumns.js';
import { glanceAtEvents, readEvents } from '../sql/readEvents.js';
import { Admission, type AdmissionLimits } from './admission.js';

export type ReadOutcome =
  | { readonly kind: 'found'; readonly event: EventRow }
  | { readonly kind: 'event-not-found' }
  | { readonly kind: 'overloaded'; readonly retryAfterSeconds: number };

export interface Availability {
  /** @throws whatever the database threw at the shared query */
  read(eventId: string): Promise<ReadOutcome>;
}

export interface AvailabilityLimits extends AdmissionLimits {
  readonly queriesInFlightMax: number;
  /** Reads that share one query. */
  readonly batchReadsMax: number;
}

const everyEvent = 'every event';

/** @param onRefused told of each read that was refused */
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
  const queue = readBy(glanceAtEvents, limits.queriesInFlightMax);
  const missing = readBy(readEvents, 1);

  async function look(eventId: string): Promise<ReadOutcome> {
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
      return admission.serve(everyEvent, look(eventId), () => overloaded(admission.retryAfterSeconds()));
    },
  };
}
