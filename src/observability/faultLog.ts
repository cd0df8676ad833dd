/**
 * Logs database faults without flooding the log. While a database is away, every batch fails about twenty times a second. So only the
 * first fault of a kind gets a line of its own; its repeats are counted, and summed up in one line per interval for all kinds together.
 * A kind that did not occur in an interval is forgotten: its next fault is a first one again.
 */
import type { Fault } from '../db/faults.js';
import type { CarriedByAttempt } from '../sale/sale.js';

interface Log {
  warn(details: object, message: string): void;
}

/** What the summary says of one kind. */
interface Repeats {
  /** Failed attempts, also those of work that had failed before. */
  attempts: number;
  /** Batches and requests that had not failed before, so that the sum over all lines counts each of them once. */
  batches: number;
  requests: number;
  readonly events: Set<string>;
}

interface Kind extends Repeats {
  /** Whether it occurred in this interval, be it for the first time. */
  readonly occurred: boolean;
  readonly work: string;
  readonly fault: string;
}

const summaryEveryMs = 10_000;
/** Events that are distinguished; more count as this number. */
const eventsMax = 1_000;
/** Kinds that are distinguished. The name of an unknown fault is its message, which may differ each time. */
const kindsMax = 20;
const furtherKinds = 'further faults';

export class FaultLog {
  readonly #log: Log;
  readonly #everyMs: number;
  readonly #kinds = new Map<string, Kind>();
  #sinceMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(log: Log, everyMs = summaryEveryMs) {
    this.#log = log;
    this.#everyMs = everyMs;
  }

  /**
   * @param work what failed, as the subject of a log line: `a batch`
   * @param carried unset for work that serves no requests
   */
  failed(work: string, fault: Fault, error: unknown, carried?: CarriedByAttempt): void {
    const name = this.#kinds.size < kindsMax || this.#kinds.has(keyOf(work, fault.name)) ? fault.name : furtherKinds;
    const known = this.#kinds.get(keyOf(work, name));
    if (known) {
      count(known, carried);
      return;
    }
    this.#kinds.set(keyOf(work, name), newKind(work, name, true));
    this.#startInterval();
    const { eventId, requests, path } = carried ?? {};
    this.#log.warn(
      {
        fault: fault.name,
        sqlstate: fault.sqlState,
        event_id: eventId === '' ? undefined : eventId,
        requests,
        path,
        err: fault.transient ? undefined : error,
      },
      `${work} failed${fault.transient ? '; it is repeated' : ''}`,
    );
  }

  /** Ends an interval: logs the repeats since the last call, if there are any, and forgets the kinds that did not occur. */
  summarise(): void {
    const repeated = [...this.#kinds.values()].filter(({ attempts }) => attempts > 0);
    if (repeated.length > 0) {
      const faults = repeated.map(({ work, fault, attempts, batches, requests, events }) => ({
        work,
        fault,
        attempts,
        ...(events.size > 0 || requests > 0 ? { batches, requests, events: events.size, ...onlyEventOf(events) } : {}),
      }));
      this.#log.warn({ faults, since: new Date(this.#sinceMs).toISOString() }, 'database faults were repeated');
    }
    for (const [key, { work, fault, occurred, attempts }] of this.#kinds) {
      if (occurred || attempts > 0) this.#kinds.set(key, newKind(work, fault, false));
      else this.#kinds.delete(key);
    }
    this.#sinceMs = Date.now();
    if (this.#kinds.size === 0) this.#stopInterval();
  }

  /** Logs the repeats that no line has reported yet. */
  close(): void {
    this.summarise();
    this.#kinds.clear();
    this.#stopInterval();
  }

  #startInterval(): void {
    if (this.#timer !== undefined) return;
    this.#sinceMs = Date.now();
    this.#timer = setInterval(() => {
      this.summarise();
    }, this.#everyMs);
    this.#timer.unref();
  }

  #stopInterval(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

function newKind(work: string, fault: string, occurred: boolean): Kind {
  return { work, fault, occurred, attempts: 0, batches: 0, requests: 0, events: new Set() };
}

function keyOf(work: string, fault: string): string {
  return `${work}: ${fault}`;
}

function count(kind: Kind, carried: CarriedByAttempt | undefined): void {
  kind.attempts += 1;
  if (!carried) return;
  if (!carried.failedBefore) {
    kind.batches += 1;
    kind.requests += carried.requests;
  }
  if (carried.eventId !== '' && kind.events.size < eventsMax) kind.events.add(carried.eventId);
}

function onlyEventOf(events: ReadonlySet<string>): { event_id?: string } {
  const [eventId] = events;
  return events.size === 1 && eventId !== undefined ? { event_id: eventId } : {};
}
