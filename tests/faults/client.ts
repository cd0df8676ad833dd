/** One attempt to buy over HTTP, on a connection that shows exactly how it ended. */
import { Agent, type IncomingMessage, request } from 'node:http';
import type { Client } from '../support/client.js';
import type { Answer } from './history.js';

/** A client of a replica, or of the careless sale of a negative control. */
export interface NamedClient extends Client<Answer> {
  readonly name: string;
  /** @param hangUpAfterMs the buyer goes away then, without waiting for the answer */
  buy(eventId: string, quantity: number, key: string, hangUpAfterMs?: number): Promise<Answer>;
}

/** Well over the deadline of a purchase: whoever is not answered by then was forgotten. */
const buyerPatienceMs = 6_000;

interface PurchaseBody {
  readonly id: string;
  readonly quantity: number;
  readonly tickets: readonly { readonly id: string }[];
}

/** How a request ended: with an answer, or without one. */
export type Ending =
  { readonly kind: 'answered'; readonly status: number; readonly json: string } | Extract<Answer, { readonly why: string }>;

export interface Posting {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The buyer goes away then, without waiting for the answer. */
  readonly hangUpAfterMs?: number | undefined;
  readonly method?: string;
}

/**
 * @param address asked anew for each attempt, because a replica that is started again listens elsewhere
 * @returns a function that sends a POST, unless another method is given
 */
export function poster(address: () => string | undefined): (path: string, posting: Posting) => Promise<Ending> {
  const agent = new Agent({ keepAlive: true, maxSockets: 256 });
  return (path, { headers = {}, body, hangUpAfterMs, method = 'POST' }) =>
    new Promise((resolve) => {
      const base = address();
      if (base === undefined) {
        resolve({ kind: 'not begun', why: 'nobody there' });
        return;
      }
      const call = request(`${base}${path}`, { method, agent, headers });
      const timer = setTimeout(() => {
        resolve({ kind: 'unknown', why: hangUpAfterMs === undefined ? 'no answer in time' : 'hung up' });
        call.destroy();
      }, hangUpAfterMs ?? buyerPatienceMs);
      const end = (ending: Ending) => {
        clearTimeout(timer);
        resolve(ending);
      };
      call.once('error', (error: NodeJS.ErrnoException) => {
        const nobody = error.code === 'ECONNREFUSED';
        end(
          nobody ? { kind: 'not begun', why: 'nobody there' } : { kind: 'unknown', why: `connection lost: ${error.code ?? error.message}` },
        );
      });
      call.once('response', (response) => {
        readAll(response).then(
          (json) => {
            end({ kind: 'answered', status: response.statusCode ?? 0, json });
          },
          () => {
            end({ kind: 'unknown', why: 'connection lost: in the answer' });
          },
        );
      });
      call.end(body);
    });
}

export function httpClient(name: string, address: () => string | undefined): NamedClient {
  const post = poster(address);
  return {
    name,
    buy: async (eventId, quantity, key, hangUpAfterMs) => {
      const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': key };
      const ending = await post(`/events/${eventId}/purchases`, { headers, body: JSON.stringify({ quantity }), hangUpAfterMs });
      return ending.kind === 'answered' ? toAnswer(ending.status, ending.json) : ending;
    },
  };
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

export function toAnswer(status: number, json: string): Answer {
  if (status === 201) {
    const { id, quantity, tickets } = JSON.parse(json) as PurchaseBody;
    return { kind: 'granted', purchase: { id, quantity, ticketIds: tickets.map((ticket) => ticket.id), json } };
  }
  const { code = '', available_quantity: available = 0 } = JSON.parse(json) as { code?: string; available_quantity?: number };
  if (status === 409) return { kind: 'refused', code, available };
  if (code === 'overloaded') return { kind: 'not begun', why: 'overloaded' };
  return { kind: 'unknown', why: code };
}
