/**
 * Requests that arrive while their key's batch is running wait in a queue; the next batch takes the whole queue, up to a limit.
 * There is no timer: the first request of an idle key starts at the end of the event-loop turn in which it arrived, and batches
 * grow with the load. Databases use the same group commit to write the commits of many sessions in one flush
 * (DeWitt et al., "Implementation Techniques for Main Memory Database Systems", 1984).
 */

/**
 * The smallest slice of results delivered in one event-loop turn, and the number of turns over which more are spread. Hundreds of
 * answers in one turn provoke hundreds of requests in the next, and a turn then takes 25 ms (4,000 connections; 6 to 9 ms with slices).
 */
const deliveredPerTurnMin = 64;
const deliveredOverTurns = 32;

export interface BatcherOptions<K, Q, R> {
  /** Serves a batch and returns one result per request, in order. If it rejects, every request of the batch rejects. */
  readonly run: (key: K, batch: readonly Q[]) => Promise<readonly (R | Promise<R>)[]>;
  /** Called when a request is about to enter a batch. If it returns a result, the request is answered with it and enters no batch. */
  readonly expired?: (request: Q) => R | undefined;
  /** The weight of a request, counted towards `batchWeightMax`; 1 by default. A single request always fits. */
  readonly weigh?: (request: Q) => number;
  readonly batchSizeMax: number;
  readonly batchWeightMax?: number;
  /** Concurrent batches of one key; 1 by default. */
  readonly runningPerKeyMax?: number;
}

interface Waiting<Q, R> {
  readonly request: Q;
  readonly resolve: (result: R | Promise<R>) => void;
  readonly reject: (fault: unknown) => void;
}

/** The waiting requests of one key, in order of arrival. A queue exists only while a request waits or a batch runs. */
interface Queue<K, Q, R> {
  readonly key: K;
  waiting: Waiting<Q, R>[];
  running: number;
}

export class Batcher<K, Q, R> {
  readonly #options: BatcherOptions<K, Q, R>;
  readonly #queues = new Map<K, Queue<K, Q, R>>();
  /** Queues that can start a batch. */
  readonly #ready = new Set<Queue<K, Q, R>>();
  /** Results waiting to be delivered, in order. */
  readonly #undelivered: (() => void)[] = [];
  #running = 0;
  #waiting = 0;
  #starting = false;

  constructor(options: BatcherOptions<K, Q, R>) {
    this.#options = options;
  }

  /** Requests in all queues, not yet in a batch. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Requests in the queue of one key. */
  waitingFor(key: K): number {
    return this.#queues.get(key)?.waiting.length ?? 0;
  }

  /** Running batches. */
  get running(): number {
    return this.#running;
  }

  /** Adds a request to the queue of `key`; resolves with its result. */
  submit(key: K, request: Q): Promise<R> {
    return new Promise((resolve, reject) => {
      let queue = this.#queues.get(key);
      if (!queue) {
        queue = { key, waiting: [], running: 0 };
        this.#queues.set(key, queue);
      }
      queue.waiting.push({ request, resolve, reject });
      this.#waiting += 1;
      this.#markIfReady(queue);
      this.#startBatchesSoon();
    });
  }

  #markIfReady(queue: Queue<K, Q, R>): void {
    const { runningPerKeyMax = 1 } = this.#options;
    if (queue.waiting.length > 0 && queue.running < runningPerKeyMax) this.#ready.add(queue);
  }

  /** Starts them at the end of this event-loop turn, so that requests that arrive in the same turn share a batch. */
  #startBatchesSoon(): void {
    if (this.#starting) return;
    this.#starting = true;
    setImmediate(() => {
      this.#starting = false;
      this.#startBatches();
    });
  }

  #startBatches(): void {
    for (const queue of this.#ready) {
      this.#ready.delete(queue);
      const batch = this.#cut(queue);
      if (batch.length > 0) void this.#serve(queue, batch);
      this.#markIfReady(queue);
      this.#forgetIfIdle(queue);
    }
  }

  /** Takes the next batch from the queue and answers the requests that have expired. */
  #cut(queue: Queue<K, Q, R>): Waiting<Q, R>[] {
    const { batchSizeMax, batchWeightMax = Infinity, weigh = () => 1, expired = () => undefined } = this.#options;
    const batch: Waiting<Q, R>[] = [];
    let weight = 0;
    let taken = 0;
    for (const next of queue.waiting) {
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
    queue.waiting = queue.waiting.slice(taken);
    this.#waiting -= taken;
    return batch;
  }

  async #serve(queue: Queue<K, Q, R>, batch: readonly Waiting<Q, R>[]): Promise<void> {
    queue.running += 1;
    this.#running += 1;
    const deliver = await this.#run(queue.key, batch);
    queue.running -= 1;
    this.#running -= 1;
    this.#markIfReady(queue);
    this.#forgetIfIdle(queue);
    this.#startBatches(); // first, so that the next batch runs while the results of this one are delivered
    batch.forEach((waiting, index) => {
      this.#undelivered.push(() => {
        deliver(waiting, index);
      });
    });
    if (this.#undelivered.length === batch.length) this.#deliverSlice(); // otherwise a delivery is in progress
  }

  /** @returns a function that resolves each request with its result, or rejects it with the fault of the batch */
  async #run(key: K, batch: readonly Waiting<Q, R>[]): Promise<(waiting: Waiting<Q, R>, index: number) => void> {
    const requests = batch.map((waiting) => waiting.request);
    try {
      const results = await this.#options.run(key, requests);
      if (results.length !== batch.length) {
        throw new Error(`a batch of ${String(batch.length)} came back with ${String(results.length)} results`);
      }
      return (waiting, index) => {
        waiting.resolve(results[index] as R | Promise<R>);
      };
    } catch (fault) {
      return (waiting) => {
        waiting.reject(fault);
      };
    }
  }

  /** Delivers one slice of results per event-loop turn; between slices the loop serves probes and other requests. */
  #deliverSlice(): void {
    const count = Math.max(deliveredPerTurnMin, Math.ceil(this.#undelivered.length / deliveredOverTurns));
    for (const deliver of this.#undelivered.splice(0, count)) deliver();
    if (this.#undelivered.length === 0) return;
    setImmediate(() => {
      this.#deliverSlice();
    });
  }

  #forgetIfIdle(queue: Queue<K, Q, R>): void {
    if (queue.waiting.length === 0 && queue.running === 0) this.#queues.delete(queue.key);
  }
}
