/**
 * The first look at a request, before Express and before its body: a purchase that would be refused is refused here, for
 * half of what a purchase costs, most of it the kernel's. Under a load that cannot be carried, most requests end here.
 *
 * Even so refusing is work, and a client that is refused at once may ask again at once: unbounded, refusals take the event
 * loop from those who are being sold to (27,000 of them a second left 360 sales of 17,000). So there is a pace for them too.
 * Whoever comes faster waits for his refusal, and while he waits he sends nothing.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { prepareAnswer } from './everyAnswer.js';
import { retryAfter, sendProblem } from './problems.js';

export interface Gate {
  readonly listener: RequestListener;
  /** Answers that are owed, of all connections. */
  readonly unanswered: Iterable<ServerResponse>;
  /** Those of one connection, in the order in which they will be sent. */
  readonly owedTo: (connection: Duplex) => readonly ServerResponse[];
  /** Refusals that wait to be told. */
  readonly waiting: () => number;
}

interface Refusal {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly retryAfterSeconds: number;
}

const detail = 'Too many at the moment: refused before it began, nothing was bought.';
const everyMs = 5;
const madeUpMsMax = 200;
/** Requests of one connection that may be without an answer at once: hardly any client sends a second one. */
const pipelinedMax = 4;
/** Refusals that may wait to be told; beyond it connections are cut. Far more than honest clients can be waiting for. */
const waitingMax = 20_000;

/**
 * @param refuses would a purchase of this event be refused at once? Returns the seconds after which to come back
 * @param refusalsPerSecondMax what is left of the event loop for refusing
 */
export function createGate(refuses: (eventId: string) => number | undefined, refusalsPerSecondMax: number, app: RequestListener): Gate {
  const unanswered = new Unanswered();
  let waiting: Refusal[] = [];
  let timer: NodeJS.Timeout | undefined;
  let tickedAtMs = -Infinity;

  function tick(): void {
    const nowMs = performance.now();
    // After a pause, or a late turn of the event loop, there is more to make up for, but never so much that the next turn is late.
    const elapsedMs = Math.min(nowMs - tickedAtMs, madeUpMsMax);
    tickedAtMs = nowMs;
    // Who has hung up costs nobody his turn. (Of responses Node destroys only the first that a connection still waits for.)
    waiting = waiting.filter(({ req }) => !req.socket.destroyed);
    for (const refusal of waiting.splice(0, Math.ceil((refusalsPerSecondMax * elapsedMs) / 1000))) refuse(refusal);
    if (waiting.length > 0) return;
    clearInterval(timer);
    timer = undefined;
  }

  return {
    listener: (req, res) => {
      if (unanswered.add(res, req.socket) > pipelinedMax) {
        req.socket.destroy();
        return;
      }
      const eventId = eventToBuyFrom(req);
      const retryAfterSeconds = eventId === undefined ? undefined : refuses(eventId);
      if (retryAfterSeconds === undefined) {
        app(req, res);
        return;
      }
      if (waiting.length >= waitingMax) {
        req.socket.destroy();
        return;
      }
      waiting.push({ req, res, retryAfterSeconds });
      timer ??= setInterval(tick, everyMs);
    },
    unanswered,
    owedTo: (connection) => unanswered.of(connection),
    waiting: () => waiting.length,
  };
}

/** Answers that are owed. (When a connection closes, Node closes only the first of those that it still waits for.) */
class Unanswered implements Iterable<ServerResponse> {
  readonly #byConnection = new Map<Duplex, Set<ServerResponse>>();

  /** @returns how many the connection is owed with this one: Node reads on while answers are outstanding, without a bound */
  add(res: ServerResponse, connection: Socket): number {
    const owed = this.#enlist(connection);
    owed.add(res);
    res.once('close', () => owed.delete(res));
    return owed.size;
  }

  *[Symbol.iterator](): Iterator<ServerResponse> {
    for (const owed of this.#byConnection.values()) yield* owed;
  }

  of(connection: Duplex): ServerResponse[] {
    return [...(this.#byConnection.get(connection) ?? [])];
  }

  #enlist(connection: Socket): Set<ServerResponse> {
    let owed = this.#byConnection.get(connection);
    if (!owed) {
      this.#byConnection.set(connection, (owed = new Set()));
      connection.once('close', () => this.#byConnection.delete(connection));
    }
    return owed;
  }
}

/** The id in `POST /events/{id}/purchases`, as ids are written here. Anything else is no business of the gate. */
function eventToBuyFrom({ method, url = '' }: IncomingMessage): string | undefined {
  const [start, end] = ['/events/'.length, '/events/'.length + 36];
  return method === 'POST' && url.startsWith('/events/') && url.startsWith('/purchases', end)
    ? url.slice(start, end).toLowerCase()
    : undefined;
}

function refuse({ req, res, retryAfterSeconds }: Refusal): void {
  prepareAnswer(req, res);
  sendProblem(res, { code: 'overloaded', detail, headers: retryAfter(retryAfterSeconds) });
}
