import { Agent, request } from 'node:http';
import { text as readText } from 'node:stream/consumers';
import { adminToken } from './replica.js';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // The tests say what they expect of it; a wrong guess fails there.
  readonly body: Record<string, unknown> & { readonly id: string; readonly code: string; readonly tickets: readonly { id: string }[] };
}

/**
 * A connection for each request: one that is kept is closed by the server after five idle seconds, and on a busy machine just
 * as it is used again. Node's fetch keeps them too, and costs a crowd in one process half as much processor time again.
 */
const agent = new Agent({ keepAlive: false });

/** One replica, or something in place of it, as its callers see it. The kinds of tests differ in what they look at in an answer. */
export interface Client<A> {
  buy(eventId: string, quantity: number, key?: string): Promise<A>;
}

export interface Sending {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Sends a request and reads the answer as JSON. */
export function send(url: string, { method = 'GET', headers = {}, body }: Sending = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent, method, headers }, (response) => {
      readText(response).then((text) => {
        resolve({
          status: response.statusCode!,
          headers: new Headers(response.headers as Record<string, string>),
          body: (text === '' ? {} : JSON.parse(text)) as Answer['body'],
        });
      }, reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

const asJson = { 'Content-Type': 'application/json' };
const asAdmin = { Authorization: `Bearer ${adminToken}` };

export interface NewEvent {
  readonly name?: string;
  readonly total_quota: number;
  readonly max_purchase_limit: number;
  readonly sale_starts_at?: string | null;
  readonly sale_ends_at?: string | null;
  readonly max_per_buyer?: number | null;
  readonly hold_seconds?: number | null;
}

/** Makes an event by the admin API. @returns its id */
export async function makeEvent(address: string, event: NewEvent): Promise<string> {
  const body = JSON.stringify({ name: 'A test event', ...event });
  const answer = await send(`${address}/admin/events`, { method: 'POST', headers: { ...asJson, ...asAdmin }, body });
  if (answer.status !== 201) throw new Error(`no event was made: ${JSON.stringify(answer.body)}`);
  return answer.body.id;
}

/** @param named `buyer_id`, `reference`, or both */
export function buy(
  address: string,
  eventId: string,
  quantity: number,
  key?: string,
  named: { readonly buyer_id?: string; readonly reference?: string } = {},
): Promise<Answer> {
  const headers = key === undefined ? asJson : { ...asJson, 'Idempotency-Key': key };
  return send(`${address}/events/${eventId}/purchases`, { method: 'POST', headers, body: JSON.stringify({ quantity, ...named }) });
}

/** Confirms or cancels as the admin, or releases as anyone. */
export function act(address: string, eventId: string, purchaseId: string, action: 'confirm' | 'release' | 'cancel'): Promise<Answer> {
  const path = `${action === 'cancel' ? '/admin' : ''}/events/${eventId}/purchases/${purchaseId}/${action}`;
  return send(`${address}${path}`, { method: 'POST', headers: action === 'release' ? {} : asAdmin });
}

export function lookUp(address: string, eventId: string, purchaseId: string): Promise<Answer> {
  return send(`${address}/events/${eventId}/purchases/${purchaseId}`);
}

/** Changes an event's rules by the admin API. */
export function changeEvent(address: string, eventId: string, change: Partial<NewEvent>): Promise<Answer> {
  return send(`${address}/admin/events/${eventId}`, { method: 'PATCH', headers: { ...asJson, ...asAdmin }, body: JSON.stringify(change) });
}

/** Changes an event's limit by the admin API. */
export function changeLimit(address: string, eventId: string, limit: number): Promise<Answer> {
  return changeEvent(address, eventId, { max_purchase_limit: limit });
}

export function audit(address: string, eventId: string): Promise<Answer> {
  return send(`${address}/admin/events/${eventId}/audit`, { headers: asAdmin });
}
