/**
 * The gate checks each request before Express and before its body is read. It refuses a purchase that could not be admitted, at
 * half the cost of a purchase, most of it in the kernel. Under overload most requests end here.
 *
 * The gate recognises one spelling of the purchase path. The router accepts many more (%30 for a digit, a slash at the end, an
 * absolute URL, backslashes before a fragment), and decoding them here would duplicate the router. So the purchase route repeats the check,
 * before it reads the body, for each request that the gate did not recognise.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { prepareAnswer } from '../middleware/everyAnswer.js';
import { retryAfter, sendProblem } from '../contract/problems.js';
import type { Refusals } from './refusals.js';

export interface Gate {
  readonly listener: RequestListener;
  /** The answers that are owed on all connections. */
  readonly unanswered: Iterable<ServerResponse>;
  /** The answers that are owed on one connection, in the order in which they will be sent. */
  readonly owedTo: (connection: Duplex) => readonly ServerResponse[];
}

/** Refuses a purchase of this event if it could not be admitted at the moment. @returns whether it was refused */
export type RefuseEarly = (res: ServerResponse, eventId: string) => boolean;

const detail = 'Too many requests: this one was refused before it began, nothing was bought.';
/** Unanswered requests on one connection. Hardly any client pipelines even a second one. */
const pipelinedMax = 4;
/** Stricter than the router, so that every match is a purchase. */
const purchasePath = /^\/events\/[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\/purchases(?:$|\?)/i;
const [idStart, idEnd] = ['/events/'.length, '/events/'.length + 36];

/** Set on purchases that the gate has admitted. */
const admitted = Symbol('admitted by the gate');
type MaybeAdmitted = IncomingMessage & { [admitted]?: true };

/** @param refuses returns the seconds after which to retry if a purchase of this event would be refused; otherwise undefined */
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

/** Whether the gate recognised this purchase and admitted it. */
export function admittedByGate(req: MaybeAdmitted): boolean {
  return req[admitted] === true;
}

/** The answers that are owed. They are tracked per connection, because when one closes, Node closes only its first answer. */
class Unanswered implements Iterable<ServerResponse> {
  readonly #byConnection = new Map<Duplex, Set<ServerResponse>>();
  readonly #onGone: (res: ServerResponse) => void;

  /** @param onGone called for each answer that was sent, or whose client has disconnected */
  constructor(onGone: (res: ServerResponse) => void) {
    this.#onGone = onGone;
  }

  /** @returns the number of answers owed on the connection, including this one; Node itself does not bound pipelining */
  add(res: ServerResponse, connection: Socket): number {
    const owed = this.#owedOn(connection);
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

  #owedOn(connection: Socket): Set<ServerResponse> {
    const existing = this.#byConnection.get(connection);
    if (existing) return existing;
    const owed = new Set<ServerResponse>();
    this.#byConnection.set(connection, owed);
    connection.once('close', () => {
      this.#byConnection.delete(connection);
      for (const res of owed) this.#onGone(res);
    });
    return owed;
  }
}

/** The event id of a `POST /events/{id}/purchases` whose path has the documented spelling. */
function eventToBuyFrom({ method, url = '' }: IncomingMessage): string | undefined {
  return method === 'POST' && purchasePath.test(url) ? url.slice(idStart, idEnd).toLowerCase() : undefined;
}
