/** What those who hold, confirm, release and cancel saw: every attempt, when it was made, when it was answered, and how. */
import { adminToken } from '../support/replica.js';
import { type Ending, poster } from './client.js';

export type Action = 'hold' | 'confirm' | 'release' | 'cancel' | 'look up';
export type Status = 'held' | 'confirmed' | 'released' | 'expired' | 'cancelled';

export interface ShownPurchase {
  readonly id: string;
  readonly quantity: number;
  readonly status: Status;
  readonly buyerId: string | null;
  readonly ticketIds: readonly string[];
}

export type Reply =
  | { readonly kind: 'purchase'; readonly purchase: ShownPurchase }
  /** By a rule: too few tickets, the buyer's limit, or the status that the purchase has. */
  | { readonly kind: 'refused'; readonly code: string }
  /** This attempt did nothing, and says so. */
  | { readonly kind: 'not begun'; readonly why: string }
  | { readonly kind: 'unknown'; readonly why: string };

/** A purchase as its buyer asks for it; the key names it in the history. */
export interface Wanted {
  readonly eventId: string;
  readonly key: string;
  readonly quantity: number;
  readonly buyerId: string;
}

export interface Try extends Wanted {
  readonly action: Action;
  /** On the clock of `performance.now()`, as all times here. */
  readonly calledAtMs: number;
  readonly returnedAtMs: number;
  readonly answer: Reply;
}

/** One replica, or a careless shop in place of it. */
export interface Shop {
  readonly name: string;
  hold(wanted: Wanted, hangUpAfterMs?: number): Promise<Reply>;
  act(action: Exclude<Action, 'hold'>, eventId: string, purchaseId: string): Promise<Reply>;
}

/** The status that an answer shows, refusals included. */
export function statusIn(answer: Reply): Status | undefined {
  if (answer.kind === 'purchase') return answer.purchase.status;
  return answer.kind === 'refused' ? statusOfCode[answer.code] : undefined;
}

const statusOfCode: Readonly<Record<string, Status>> = {
  'hold-expired': 'expired',
  'hold-released': 'released',
  'purchase-confirmed': 'confirmed',
  'purchase-cancelled': 'cancelled',
};

export function httpShop(name: string, address: () => string | undefined): Shop {
  const post = poster(address);
  const asAdmin = { Authorization: `Bearer ${adminToken}` };
  return {
    name,
    hold: async ({ eventId, key, quantity, buyerId }, hangUpAfterMs) => {
      const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': key };
      const body = JSON.stringify({ quantity, buyer_id: buyerId });
      return toReply(await post(`/events/${eventId}/purchases`, { headers, body, hangUpAfterMs }));
    },
    act: async (action, eventId, purchaseId) => {
      const path = `/events/${eventId}/purchases/${purchaseId}`;
      if (action === 'look up') return toReply(await post(path, { method: 'GET' }));
      return toReply(await post(`${action === 'cancel' ? '/admin' : ''}${path}/${action}`, { headers: asAdmin }));
    },
  };
}

interface Body {
  readonly code?: string;
  readonly id: string;
  readonly quantity: number;
  readonly status: Status;
  readonly buyer_id: string | null;
  readonly tickets: readonly { readonly id: string }[];
}

function toReply(ending: Ending): Reply {
  if (ending.kind !== 'answered') return ending;
  const { code = '', ...body } = JSON.parse(ending.json) as Body;
  if (ending.status === 200 || ending.status === 201) {
    const { id, quantity, status, buyer_id: buyerId, tickets } = body;
    return { kind: 'purchase', purchase: { id, quantity, status, buyerId, ticketIds: tickets.map((ticket) => ticket.id) } };
  }
  if (ending.status === 409 || ending.status === 404) return { kind: 'refused', code };
  return code === 'overloaded' ? { kind: 'not begun', why: code } : { kind: 'unknown', why: code };
}
