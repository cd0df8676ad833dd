/**
 * The concurrency primitive. Requests for one key that arrive while that key's batch is running wait in line; when it is
 * done, the next batch takes the whole line, up to a limit. There is no timer: an idle key's first request starts in the
 * turn of the event loop in which it arrived, and batches grow by themselves with the load. Databases group the commits of
 * many sessions into one flush the same way (DeWitt et al., "Implementation Techniques for Main Memory Database Systems", 1984).
 */

/**
 * Results that are told in one turn of the event loop at least; and in how many turns, where there are more. With answers by
 * the hundred, requests come by the hundred, and a turn takes 25 ms (4,000 connections; 6 to 9 ms so).
 */
const toldPerTurnMin = 64;
const toldInTurns = 32;

export interface GroupCommitOptions<K, Q, R> {
  /** Serves a batch: one result per request, in their order. A rejection is every request's rejection. */
  readonly run: (key: K, batch: readonly Q[]) => Promise<readonly R[]>;
  /** Asked as a request would enter a batch; a result is its answer, and it enters none. */
  readonly expired?: (request: Q) => R | undefined;
  /** What a request counts for towards `batchWeightMax`; 1 unless told. A single request always fits. */
  readonly weigh?: (request: Q) => number;
  readonly batchSizeMax: number;
  readonly batchWeightMax?: number;
  /** Batches of all keys that may run at once; any number unless told. */
  readonly inFlightMax?: number;
  /** Batches of one key that may run at once. */
  readonly inFlightPerKeyMax: number;
}

interface Waiting<Q, R> {
  readonly request: Q;
  readonly resolve: (result: R) => void;
  readonly reject: (fault: unknown) => void;
}

/** Those who wait for one key, in order of arrival. Exists only while someone waits or a batch runs. */
interface Line<K, Q, R> {
  readonly key: K;
  waiting: Waiting<Q, R>[];
  inFlight: number;
}

export class GroupCommit<K, Q, R> {
  readonly #options: GroupCommitOptions<K, Q, R>;
  readonly #lines = new Map<K, Line<K, Q, R>>();
  /** Lines that may start a batch, first come first served, each going to the back after its turn. */
  readonly #ready = new Set<Line<K, Q, R>>();
  /** Results that wait to be told, in order. */
  readonly #untold: (() => void)[] = [];
  #inFlight = 0;
  #waiting = 0;
  #starting = false;

  constructor(options: GroupCommitOptions<K, Q, R>) {
    this.#options = options;
  }

  /** Requests in line, not yet in a batch. */
  get waiting(): number {
    return this.#waiting;
  }

  /** The same of one key. */
  waitingFor(key: K): number {
    return this.#lines.get(key)?.waiting.length ?? 0;
  }

  /** Batches running. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Gets in line for `key`; resolves with this request's own result. */
  submit(key: K, request: Q): Promise<R> {
    return new Promise((resolve, reject) => {
      let line = this.#lines.get(key);
      if (!line) {
        line = { key, waiting: [], inFlight: 0 };
        this.#lines.set(key, line);
      }
      line.waiting.push({ request, resolve, reject });
      this.#waiting += 1;
      this.#enlist(line);
      this.#startBatchesSoon();
    });
  }

  #enlist(line: Line<K, Q, R>): void {
    if (line.waiting.length > 0 && line.inFlight < this.#options.inFlightPerKeyMax) this.#ready.add(line);
  }

  /** At the end of this turn of the event loop, so that those who arrive in the same turn go together. */
  #startBatchesSoon(): void {
    if (this.#starting) return;
    this.#starting = true;
    setImmediate(() => {
      this.#starting = false;
      this.#startBatches();
    });
  }

  #startBatches(): void {
    const { inFlightMax = Infinity } = this.#options;
    for (const line of this.#ready) {
      if (this.#inFlight >= inFlightMax) return;
      this.#ready.delete(line);
      const batch = this.#cut(line);
      if (batch.length > 0) void this.#serve(line, batch);
      this.#enlist(line);
      this.#forgetIfIdle(line);
    }
  }

  /** Takes the next batch off the line, and answers those for whom it is too late. */
  #cut(line: Line<K, Q, R>): Waiting<Q, R>[] {
    const { batchSizeMax, batchWeightMax = Infinity, weigh = () => 1, expired = () => undefined } = this.#options;
    const batch: Waiting<Q, R>[] = [];
    let weight = 0;
    let taken = 0;
    for (const next of line.waiting) {
      const late = expired(next.request);
      if (late === undefined) {
        weight += weigh(next.request);
        if (batch.length > 0 && (batch.length >= batchSizeMax || weight > batchWeightMax)) break;
        batch.push(next);
      } else {
        next.resolve(late);
      }
      taken += 1;
    }
    line.waiting = line.waiting.slice(taken);
    this.#waiting -= taken;
    return batch;
  }

  async #serve(line: Line<K, Q, R>, batch: readonly Waiting<Q, R>[]): Promise<void> {
    line.inFlight += 1;
    this.#inFlight += 1;
    const tell = await this.#run(line.key, batch);
    line.inFlight -= 1;
    this.#inFlight -= 1;
    this.#enlist(line);
    this.#forgetIfIdle(line);
    this.#startBatches(); // first, so that the next batch is on its way while this one is told
    batch.forEach((waiting, index) => {
      this.#untold.push(() => {
        tell(waiting, index);
      });
    });
    if (this.#untold.length === batch.length) this.#tellSome(); // else somebody is at it
  }

  /** @returns what tells each request its result, or the fault of all */
  async #run(key: K, batch: readonly Waiting<Q, R>[]): Promise<(waiting: Waiting<Q, R>, index: number) => void> {
    const requests = batch.map((waiting) => waiting.request);
    try {
      const results = await this.#options.run(key, requests);
      if (results.length !== batch.length) {
        throw new Error(`a batch of ${String(batch.length)} came back with ${String(results.length)} results`);
      }
      return (waiting, index) => {
        waiting.resolve(results[index] as R);
      };
    } catch (fault) {
      return (waiting) => {
        waiting.reject(fault);
      };
    }
  }

  /** A share of the results in each turn of the event loop: between them everybody else is heard, probes and newcomers too. */
  #tellSome(): void {
    const share = Math.max(toldPerTurnMin, Math.ceil(this.#untold.length / toldInTurns));
    for (const tell of this.#untold.splice(0, share)) tell();
    if (this.#untold.length === 0) return;
    setImmediate(() => {
      this.#tellSome();
    });
  }

  #forgetIfIdle(line: Line<K, Q, R>): void {
    if (line.waiting.length === 0 && line.inFlight === 0) this.#lines.delete(line.key);
  }
}
