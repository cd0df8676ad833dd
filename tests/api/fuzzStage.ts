/** What the fuzzer asks about: two replicas, and events and purchases in every state. */
import type { FileDatabase } from '../support/database.js';
import { audience, issuer } from '../support/issuer.js';
import { patientSettings, type Replica } from '../support/replica.js';
import { endHolds } from '../interleavings/holds.js';
import { sendOnly } from './call.js';

export const sellerToken = 'the-seller-token-of-the-tests';
export const secret = 'a-secret-of-thirty-two-bytes-or-more';

export interface Stage {
  readonly replica: Replica;
  /** Buyers need a token there. */
  readonly withTokens: Replica;
  readonly events: readonly string[];
  readonly purchases: readonly (readonly [eventId: string, purchaseId: string])[];
}

export async function openStage(database: FileDatabase): Promise<Stage> {
  const settings = { ...patientSettings, SELLER_TOKEN: sellerToken, DOCS_IN_PROGRESS_MAX: '1000' };
  const replica = await database.startReplica(settings);
  const tokens = { BUYER_JWT_SECRET: secret, BUYER_JWT_ISSUER: issuer, BUYER_JWT_AUDIENCE: audience };
  const withTokens = await database.startReplica({ ...settings, ...tokens });

  async function post(path: string, body: object): Promise<string> {
    const reply = await sendOnly(replica.address, `POST ${path}`, { json: body, admin: true });
    if (reply.status >= 300) throw new Error(reply.text);
    return reply.body.id;
  }

  const event = { name: 'x', total_quota: 10_000_000, max_purchase_limit: 1_000 };
  const makeEvent = (rules: object) => post('/admin/events', { ...event, ...rules });
  const holding = await makeEvent({ hold_seconds: 3_600 });
  const soldOut = await makeEvent({ total_quota: 1, max_purchase_limit: 1 });
  const others = [{}, { sale_starts_at: '2099-01-01T00:00:00Z' }, { sale_ends_at: '2001-01-01T00:00:00Z' }, { max_per_buyer: 2 }];
  const events = [holding, soldOut, ...(await Promise.all(others.map(makeEvent)))];

  const hold = () => post(`/events/${holding}/purchases`, { quantity: 2, buyer_id: 'ann', reference: 'order 1' });
  const [held, confirmed, released, cancelled, expired] = [await hold(), await hold(), await hold(), await hold(), await hold()];
  await post(`/events/${holding}/purchases/${confirmed}/confirm`, {});
  await post(`/events/${holding}/purchases/${released}/release`, {});
  await post(`/admin/events/${holding}/purchases/${cancelled}/cancel`, {});
  await endHolds(database, [expired]);
  const last = await post(`/events/${soldOut}/purchases`, { quantity: 1 });
  const purchases = [held, confirmed, released, cancelled, expired].map((id) => [holding, id] as const);
  return { replica, withTokens, events, purchases: [...purchases, [soldOut, last]] };
}
