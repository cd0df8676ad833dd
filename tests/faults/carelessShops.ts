/**
 * What not to do with holds: shops that leave one protection out each. Every fault here has been survived by a sale that looks much
 * like these; the suite must notice the difference, or its silence means nothing.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import { v7 as uuidv7 } from 'uuid';
import { onConnection } from './carelessClients.js';
import type { Action, Reply, Shop, ShownPurchase, Status, Wanted } from './transitions.js';

type Act = Exclude<Action, 'hold'>;

/** What a shop leaves out or does wrong; without any, it is correct, if slow. */
export interface Carelessness {
  /** Answers as soon as the statements are through, and commits afterwards. */
  readonly hasty?: boolean;
  /** Takes a lost connection for a failure, and says so. */
  readonly despairing?: boolean;
  /** After a lost connection it gives back what was to be given back, without looking whether it was. */
  readonly insisting?: boolean;
  /** Looks at a hold without locking it, and changes it a moment later, whatever it is by then. */
  readonly unlocked?: boolean;
  /** How far the clock is ahead by which it judges whether a hold has expired, drawn anew each time. */
  readonly aheadMs?: () => number;
  /** Adds up a buyer's purchases before it locks anything, and trusts that none is added meanwhile. */
  readonly trusting?: boolean;
  /** Expires a hold, and forgets to make its tickets available. */
  readonly leaking?: boolean;
}

interface Row extends ShownPurchase {
  readonly isDue: boolean;
}

const finalCodes: Readonly<Partial<Record<Status, string>>> = {
  expired: 'hold-expired',
  released: 'hold-released',
  cancelled: 'purchase-cancelled',
  confirmed: 'purchase-confirmed',
};
const targets = { confirm: 'confirmed', release: 'released', cancel: 'cancelled' } as const;
const lost = (error: unknown): Reply => ({ kind: 'unknown', why: String(error) });

export function carelessShop(url: string, how: Carelessness, maxPerBuyer = Infinity): Shop {
  const onLoss = how.despairing ? (): Reply => ({ kind: 'not begun', why: 'so it believes' }) : lost;

  const lock = (client: pg.Client, eventId: string) => client.query('SELECT FROM events WHERE id = $1 FOR NO KEY UPDATE', [eventId]);

  /** One transaction. */
  const transact = (eventId: string, work: (client: pg.Client) => Promise<Reply>): Promise<Reply> =>
    onConnection(url, async (client) => {
      await client.query('BEGIN');
      if (!how.trusting && !how.unlocked) await lock(client, eventId);
      const reply = await work(client);
      const commit = client.query('COMMIT');
      if (how.hasty) await commit.catch(() => undefined);
      else await commit;
      return reply;
    });

  /** Expires due holds, so that their tickets can be held again. */
  const expire = (client: pg.Client, eventId: string) =>
    client.query(
      `WITH due AS (UPDATE purchases SET status = 'expired' WHERE event_id = $1 AND status = 'held' AND expires_at <= now() RETURNING quantity, buyer_id),
            back AS (UPDATE buyer_totals t SET quantity = t.quantity - d.quantity
                       FROM (SELECT buyer_id, sum(quantity) AS quantity FROM due GROUP BY buyer_id) d
                      WHERE t.event_id = $1 AND t.buyer_id = d.buyer_id)
       UPDATE events SET available = available + $2 * (SELECT coalesce(sum(quantity), 0) FROM due) WHERE id = $1`,
      [eventId, how.leaking ? 0 : 1],
    );

  const hold = async (client: pg.Client, wanted: Wanted): Promise<Reply> => {
    const { eventId, key, quantity, buyerId } = wanted;
    let had = 0;
    if (how.trusting) {
      had = await countOf(client, wanted);
      await pause(10);
      await lock(client, eventId);
    }
    const known = await find(client, eventId, 'idempotency_key', key);
    if (known) return { kind: 'purchase', purchase: known };
    await expire(client, eventId);
    if (!how.trusting) had = await countOf(client, wanted);
    if (had + quantity > maxPerBuyer) return { kind: 'refused', code: 'buyer-limit-exceeded' };
    const taken = await client.query(
      'UPDATE events SET available = available - $2 WHERE id = $1 AND available >= $2 RETURNING hold_seconds',
      [eventId, quantity],
    );
    if (taken.rowCount === 0) return { kind: 'refused', code: 'insufficient-availability' };
    const id = uuidv7();
    await client.query(
      `INSERT INTO purchases (event_id, id, quantity, idempotency_key, request_fingerprint, buyer_id, created_at, status, expires_at)
       SELECT $1, $2, $3, $4, 'the same', $5, clock_timestamp(), 'held', clock_timestamp() + make_interval(secs => hold_seconds) FROM events WHERE id = $1`,
      [eventId, id, quantity, key, buyerId],
    );
    await client.query(
      `INSERT INTO buyer_totals VALUES ($1, $2, $3) ON CONFLICT (event_id, buyer_id) DO UPDATE SET quantity = buyer_totals.quantity + $3`,
      [eventId, buyerId, quantity],
    );
    return { kind: 'purchase', purchase: { id, quantity, status: 'held', buyerId, ticketIds: [] } };
  };

  const act = async (client: pg.Client, action: Act, eventId: string, id: string): Promise<Reply> => {
    if (how.trusting) await lock(client, eventId);
    const found = await find(client, eventId, 'id', id, how.aheadMs?.());
    if (!found) return { kind: 'refused', code: 'purchase-not-found' };
    const status = found.isDue ? 'expired' : found.status;
    const shown: Reply = { kind: 'purchase', purchase: { ...found, status } };
    if (action === 'look up') return shown;
    const target = targets[action];
    if (status === target || (action === 'release' && status === 'expired')) return shown;
    if (status !== 'held' && !(action === 'cancel' && status === 'confirmed')) return { kind: 'refused', code: finalCodes[status]! };
    if (how.unlocked) await pause(20);
    await client.query('UPDATE purchases SET status = $3::purchase_status WHERE event_id = $1 AND id = $2', [eventId, id, target]);
    if (action === 'confirm') {
      const ticketIds = Array.from({ length: found.quantity }, () => uuidv7());
      await client.query('INSERT INTO tickets (event_id, id, purchase_id) SELECT $1, unnest($2::uuid[]), $3', [eventId, ticketIds, id]);
      return { kind: 'purchase', purchase: { ...found, status: target, ticketIds } };
    }
    await giveBack(client, eventId, found);
    return { kind: 'purchase', purchase: { ...found, status: target } };
  };

  return {
    name: 'careless',
    hold: (wanted) => transact(wanted.eventId, (client) => hold(client, wanted)).catch(onLoss),
    act: async (action, eventId, id) => {
      try {
        return await transact(eventId, (client) => act(client, action, eventId, id));
      } catch (error) {
        if (!how.insisting || (action !== 'release' && action !== 'cancel')) return onLoss(error);
        return transact(eventId, async (client) => {
          const found = await find(client, eventId, 'id', id);
          await client.query('UPDATE purchases SET status = $3::purchase_status WHERE event_id = $1 AND id = $2', [
            eventId,
            id,
            targets[action],
          ]);
          await giveBack(client, eventId, found!);
          return { kind: 'purchase', purchase: { ...found!, status: targets[action] } };
        }).catch(lost);
      }
    },
  };
}

/** The tickets that the buyer has. */
async function countOf(client: pg.Client, { eventId, buyerId }: Wanted): Promise<number> {
  const { rows } = await client.query<{ sum: number }>(
    `SELECT coalesce(sum(quantity), 0)::int AS sum FROM purchases WHERE event_id = $1 AND buyer_id = $2 AND status IN ('held', 'confirmed')`,
    [eventId, buyerId],
  );
  return rows[0]!.sum;
}

async function giveBack(client: pg.Client, eventId: string, { quantity, buyerId }: ShownPurchase): Promise<void> {
  await client.query('UPDATE events SET available = available + $2 WHERE id = $1', [eventId, quantity]);
  await client.query('UPDATE buyer_totals SET quantity = quantity - $3 WHERE event_id = $1 AND buyer_id = $2', [
    eventId,
    buyerId,
    quantity,
  ]);
}

async function find(
  client: pg.Client,
  eventId: string,
  column: 'id' | 'idempotency_key',
  value: string,
  aheadMs = 0,
): Promise<Row | undefined> {
  const { rows } = await client.query<Row>(
    `SELECT id::text, quantity, status, buyer_id AS "buyerId",
            status = 'held' AND expires_at <= clock_timestamp() + $3::float8 * interval '1 ms' AS "isDue",
            ARRAY (SELECT t.id::text FROM tickets t WHERE t.event_id = p.event_id AND t.purchase_id = p.id ORDER BY t.id) AS "ticketIds"
       FROM purchases p WHERE event_id = $1 AND ${column === 'id' ? 'id = $2::uuid' : 'idempotency_key = $2'}`,
    [eventId, value, aheadMs],
  );
  return rows[0];
}
