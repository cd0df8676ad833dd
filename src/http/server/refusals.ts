/**
 * Limits the rate of refusals with a token bucket. A refusal costs the event loop about half as much as a purchase, and a client that
 * is refused at once may retry at once. Without a limit, refusals starve the purchases: 27,000 refusals a second left 360 sales a
 * second of 17,000. Beyond the rate a refusal is delayed, and a client that waits for its answer sends nothing.
 */
import type { ServerResponse } from 'node:http';

const tickEveryMs = 5;
/** The size of the bucket, in seconds of the rate, so that a single burst is answered at once. */
const burstSeconds = 1;
/** Refusals sent in one turn of the event loop, so that turns stay short. */
const sentPerTurnMax = 100;
/** Waiting refusals; beyond this, connections are closed. Well-behaved clients never wait for as many. */
const waitingMax = 20_000;

export class Refusals {
  readonly #perSecondMax: number;
  /** In order of arrival. */
  readonly #waiting = new Map<ServerResponse, { readonly send: () => void; readonly tokens: number }>();
  #timer: NodeJS.Timeout | undefined;
  #tickedAtMs = -Infinity;
  #tokens = 0;

  constructor(perSecondMax: number) {
    this.#perSecondMax = perSecondMax;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * Calls `send`, which answers `res`, when its turn comes, unless `forget` is called first.
   *
   * @param tokens that it takes from the bucket, if the request has cost more than a refusal usually does
   */
  enqueue(res: ServerResponse, send: () => void, tokens = 1): void {
    if (res.req.socket.destroyed) return;
    if (this.#waiting.size >= waitingMax) {
      res.req.socket.destroy();
      return;
    }
    this.#waiting.set(res, { send, tokens });
    this.#timer ??= setInterval(() => {
      this.#tick();
    }, tickEveryMs);
  }

  /** Call it when the client has disconnected: disconnected clients consume no token. */
  forget(res: ServerResponse): void {
    this.#waiting.delete(res);
  }

  #tick(): void {
    const nowMs = performance.now();
    const earned = ((nowMs - this.#tickedAtMs) / 1000) * this.#perSecondMax;
    this.#tokens = Math.min(this.#tokens + earned, this.#perSecondMax * burstSeconds);
    this.#tickedAtMs = nowMs;
    let sent = 0;
    for (const [res, { send, tokens }] of this.#waiting) {
      if (this.#tokens <= 0 || sent >= sentPerTurnMax) break;
      sent += 1;
      this.#tokens -= tokens;
      this.#waiting.delete(res);
      send();
    }
    if (this.#waiting.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
