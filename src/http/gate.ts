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

const detail = 'Too many at the moment: refused before it began, nothing was bought.';
const everyMs = 5;
/** What was not needed is saved up, so that a crowd that comes but once is told at once: as much as is due in so many seconds. */
const savedSeconds = 1;
/** Refusals told in one turn of the event loop, so that turns stay short. */
const toldAtOnceMax = 100;
/** Requests of one connection that may be without an answer at once: hardly any client sends a second one. */
const pipelinedMax = 4;
/** Refusals that may wait to be told; beyond it connections are cut. Far more than honest clients can be waiting for. */
const waitingMax = 20_000;

/**
 * @param refuses would a purchase of this event be refused at once? Returns the seconds after which to come back
 * @param refusalsPerSecondMax what is left of the event loop for refusing
 */
export function createGate(refuses: (eventId: string) => number | undefined, refusalsPerSecondMax: number, app: RequestListener): Gate {
  /** Refusals that wait to be told, in the order in which they came, and when to come back. Who hangs up costs nobody his turn. */
  const waiting = new Map<ServerResponse, number>();
  const unanswered = new Unanswered((res) => waiting.delete(res));
  let timer: NodeJS.Timeout | undefined;
  let tickedAtMs = -Infinity;
  let due = 0;

  function tick(): void {
    const nowMs = performance.now();
    due += ((nowMs - tickedAtMs) / 1000) * refusalsPerSecondMax;
    due = Math.min(due, refusalsPerSecondMax * savedSeconds);
    tickedAtMs = nowMs;
    let told = 0;
    for (const [res, retryAfterSeconds] of waiting) {
      if (told >= Math.min(due, toldAtOnceMax)) break;
      told += 1;
      waiting.delete(res);
      refuse(res, retryAfterSeconds);
    }
    due -= told;
    if (waiting.size > 0) return;
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
      if (waiting.size >= waitingMax) {
        req.socket.destroy();
        return;
      }
      waiting.set(res, retryAfterSeconds);
      timer ??= setInterval(tick, everyMs);
    },
    unanswered,
    owedTo: (connection) => unanswered.of(connection),
    waiting: () => waiting.size,
  };
}

/** Answers that are owed. (When a connection closes, Node closes only the first of those that it still waits for.) */
class Unanswered implements Iterable<ServerResponse> {
  readonly #byConnection = new Map<Duplex, Set<ServerResponse>>();
  readonly #onGone: (res: ServerResponse) => void;

  /** @param onGone told of each answer that is given, or that nobody waits for any more */
  constructor(onGone: (res: ServerResponse) => void) {
    this.#onGone = onGone;
  }

  /** @returns how many the connection is owed with this one: Node reads on while answers are outstanding, without a bound */
  add(res: ServerResponse, connection: Socket): number {
    const owed = this.#enlist(connection);
    owed.add(res);
    res.once('close', () => {
      owed.delete(res);
      this.#onGone(res);
    });
    return owed.size;
  }

  *[Symbol.iterator](): Iterator<ServerResponse> {
    for (const owed of this.#byConnection.values()) yield* owed;
  }

  of(connection: Duplex): ServerResponse[] {
    return [...(this.#byConnection.get(connection) ?? [])];
  }

  #enlist(connection: Socket): Set<ServerResponse> {
    const enlisted = this.#byConnection.get(connection);
    if (enlisted) return enlisted;
    const owed = new Set<ServerResponse>();
    this.#byConnection.set(connection, owed);
    connection.once('close', () => {
      this.#byConnection.delete(connection);
      for (const res of owed) this.#onGone(res);
    });
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

function refuse(res: ServerResponse, retryAfterSeconds: number): void {
  prepareAnswer(res.req, res);
  sendProblem(res, { code: 'overloaded', detail, headers: retryAfter(retryAfterSeconds) });
}
