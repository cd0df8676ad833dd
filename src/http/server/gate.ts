/**
 * The first look at a request, before Express and before its body: a purchase that would be refused is refused here, for
 * half of what a purchase costs, most of it the kernel's. Under a load that cannot be carried, most requests end here.
 *
 * The gate recognises one spelling of a purchase's path. The router accepts many more (%30 for a digit, an absolute URL,
 * backslashes before a fragment), and decoding them all here would duplicate the router. Instead the route of purchases
 * repeats the check, before it reads the body, for each request that the gate did not recognise.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { prepareAnswer } from '../middleware/everyAnswer.js';
import { retryAfter, sendProblem } from '../contract/problems.js';
import type { Refusals } from './refusals.js';

export interface Gate {
  readonly listener: RequestListener;
  /** Answers that are owed, of all connections. */
  readonly unanswered: Iterable<ServerResponse>;
  /** Those of one connection, in the order in which they will be sent. */
  readonly owedTo: (connection: Duplex) => readonly ServerResponse[];
}

/** Refuses a purchase of this event if it could not be admitted at the moment. @returns whether it did */
export type RefuseEarly = (res: ServerResponse, eventId: string) => boolean;

const detail = 'Too many at the moment: refused before it began, nothing was bought.';
/** Requests of one connection that may be without an answer at once: hardly any client sends a second one. */
const pipelinedMax = 4;
/** Stricter than the router, so that whatever matches is a purchase. */
const purchasePath = /^\/events\/[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\/purchases(?:$|\?)/i;
const [idStart, idEnd] = ['/events/'.length, '/events/'.length + 36];

/** Set on purchases that the gate has let through. */
const admitted = Symbol('admitted by the gate');
type MaybeAdmitted = IncomingMessage & { [admitted]?: true };

/** @param refuses would a purchase of this event be refused at once? Returns the seconds after which to come back */
export function createRefuseEarly(refuses: (eventId: string) => number | undefined, refusals: Pick<Refusals, 'enqueue'>): RefuseEarly {
  return (res, eventId) => {
    const retryAfterSeconds = refuses(eventId);
    if (retryAfterSeconds === undefined) return false;
    refusals.enqueue(res, () => {
      if (!res.hasHeader('X-Request-Id')) prepareAnswer(res.req, res);
      sendProblem(res, { code: 'overloaded', detail, headers: retryAfter(retryAfterSeconds) });
    });
    return true;
  };
}

export function createGate(refuseEarly: RefuseEarly, refusals: Pick<Refusals, 'forget'>, app: RequestListener): Gate {
  const unanswered = new Unanswered((res) => {
    refusals.forget(res);
  });
  return {
    listener: (req, res) => {
      if (unanswered.add(res, req.socket) > pipelinedMax) {
        req.socket.destroy();
        return;
      }
      const eventId = eventToBuyFrom(req);
      if (eventId !== undefined) {
        if (refuseEarly(res, eventId)) return;
        (req as MaybeAdmitted)[admitted] = true;
      }
      app(req, res);
    },
    unanswered,
    owedTo: (connection) => unanswered.of(connection),
  };
}

/** Did the gate recognise this purchase and let it through? */
export function admittedByGate(req: MaybeAdmitted): boolean {
  return req[admitted] === true;
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

/** The id in `POST /events/{id}/purchases`, where its path is spelled as the documents spell it. */
function eventToBuyFrom({ method, url = '' }: IncomingMessage): string | undefined {
  return method === 'POST' && purchasePath.test(url) ? url.slice(idStart, idEnd).toLowerCase() : undefined;
}
