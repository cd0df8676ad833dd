/**
 * Refusals have a rate of their own. Each costs the event loop about half of a purchase, and a client that is refused at once may
 * ask again at once: without a bound, refusals take the event loop from the buyers who are being sold to (27,000 of them
 * a second left 360 sales of 17,000). Beyond the rate a refusal waits, and a client that waits sends nothing.
 */
import type { ServerResponse } from 'node:http';

const tickEveryMs = 5;
/** An unused allowance accumulates for so long, so that a crowd that comes once is answered at once. */
const allowanceSeconds = 1;
/** Refusals sent in one turn of the event loop, so that turns stay short. */
const sentPerTurnMax = 100;
/** Refusals that may wait; beyond it connections are closed. Far more than honest clients can be waiting for. */
const waitingMax = 20_000;

export class Refusals {
  readonly #perSecondMax: number;
  /** In order of arrival. */
  readonly #waiting = new Map<ServerResponse, () => void>();
  #timer: NodeJS.Timeout | undefined;
  #tickedAtMs = -Infinity;
  #allowance = 0;

  constructor(perSecondMax: number) {
    this.#perSecondMax = perSecondMax;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Calls `send`, which answers `res`, when its turn comes; never if `forget` is called before. */
  enqueue(res: ServerResponse, send: () => void): void {
    if (res.req.socket.destroyed) return;
    if (this.#waiting.size >= waitingMax) {
      res.req.socket.destroy();
      return;
    }
    this.#waiting.set(res, send);
    this.#timer ??= setInterval(() => {
      this.#tick();
    }, tickEveryMs);
  }

  /** The client has hung up: a refusal that nobody waits for uses none of the rate. */
  forget(res: ServerResponse): void {
    this.#waiting.delete(res);
  }

  #tick(): void {
    const nowMs = performance.now();
    const earned = ((nowMs - this.#tickedAtMs) / 1000) * this.#perSecondMax;
    this.#allowance = Math.min(this.#allowance + earned, this.#perSecondMax * allowanceSeconds);
    this.#tickedAtMs = nowMs;
    let sent = 0;
    for (const [res, send] of this.#waiting) {
      if (sent >= Math.min(this.#allowance, sentPerTurnMax)) break;
      sent += 1;
      this.#waiting.delete(res);
      send();
    }
    this.#allowance -= sent;
    if (this.#waiting.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
