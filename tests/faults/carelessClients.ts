/**
 * What not to do: sales that leave one protection out each. Every fault here has been survived by a sale that looks much
 * like these; the suite must notice the difference, or its silence means nothing.
 */
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { v7 as uuidv7 } from 'uuid';
import type { Answer } from './history.js';
import type { NamedClient } from './client.js';

interface Wish {
  readonly eventId: string;
  readonly quantity: number;
  readonly key: string | null;
  readonly id: string;
  readonly ticketIds: readonly string[];
}

const place = (eventId: string, quantity: number, key: string | null): Wish => ({
  eventId,
  quantity,
  key,
  id: uuidv7(),
  ticketIds: Array.from({ length: quantity }, () => uuidv7()),
});

const sold = ({ id, quantity, ticketIds }: Wish): Answer => ({ kind: 'granted', purchase: { id, quantity, ticketIds, json: id } });
const nothingHappened: Answer = { kind: 'not begun', why: 'so it believes' };

/** @throws what pg throws */
export async function onConnection<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, application_name: 'onsale, careless', connectionTimeoutMillis: 2_000 });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** All but the COMMIT, and rightly so. @returns undefined if there is not enough */
async function prepare(client: pg.Client, { eventId, quantity, key, id, ticketIds }: Wish): Promise<Answer | undefined> {
  await client.query('BEGIN');
  const taken = await client.query('UPDATE events SET available = available - $2 WHERE id = $1 AND available >= $2', [eventId, quantity]);
  if (taken.rowCount === 0) {
    const { rows } = await client.query<{ available: number }>('SELECT available FROM events WHERE id = $1', [eventId]);
    await client.query('ROLLBACK');
    return { kind: 'refused', code: 'insufficient-availability', available: rows[0]!.available };
  }
  await issue(client, { eventId, quantity, key, id, ticketIds });
  return undefined;
}

async function issue(client: pg.Client, { eventId, quantity, key, id, ticketIds }: Wish): Promise<void> {
  await client.query(
    `INSERT INTO purchases (event_id, id, quantity, idempotency_key, request_fingerprint, created_at)
     VALUES ($1, $2, $3, $4::text, CASE WHEN $4::text IS NOT NULL THEN 'the same' END, now())`,
    [eventId, id, quantity, key],
  );
  await client.query('INSERT INTO tickets (event_id, id, purchase_id) SELECT $1, unnest($2::uuid[]), $3', [eventId, ticketIds, id]);
}

/** @throws if anything fails, COMMIT included */
async function sellPlainly(url: string, wish: Wish): Promise<Answer> {
  return onConnection(url, async (client) => {
    const refusal = await prepare(client, wish);
    if (refusal) return refusal;
    await client.query('COMMIT');
    return sold(wish);
  });
}

/** Believes whatever pg calls a success: also a wait for the standby that was cancelled. */
export function believing(url: string): NamedClient {
  return {
    name: 'believing',
    buy: (eventId, quantity, key) =>
      sellPlainly(url, place(eventId, quantity, key)).catch((error: unknown) => ({ kind: 'unknown', why: String(error) })),
  };
}

/** Answers as soon as the statements are through, and commits afterwards. */
export function hasty(url: string): NamedClient {
  return {
    name: 'hasty',
    buy: (eventId, quantity, key) =>
      onConnection(url, async (client) => {
        const wish = place(eventId, quantity, key);
        const refusal = await prepare(client, wish);
        if (refusal) return refusal;
        await client.query('COMMIT').catch(() => undefined);
        return sold(wish);
      }).catch(() => nothingHappened),
  };
}

/** Takes a lost connection for a failure, and says so. */
export function despairing(url: string): NamedClient {
  return {
    name: 'despairing',
    buy: (eventId, quantity, key) => sellPlainly(url, place(eventId, quantity, key)).catch(() => nothingHappened),
  };
}

/** Takes a lost connection for a failure, and sells again, as something new. */
export function stubborn(url: string): NamedClient {
  return {
    name: 'stubborn',
    buy: (eventId, quantity, key) =>
      sellPlainly(url, place(eventId, quantity, key))
        .catch(() => sellPlainly(url, place(eventId, quantity, null)))
        .catch((error: unknown) => ({ kind: 'unknown', why: String(error) })),
  };
}

/** After a lost connection it looks whether the purchase is there, but does not take the lock; what is not there, it thinks, never will be. */
export function peeking(url: string): NamedClient {
  return {
    name: 'peeking',
    buy: async (eventId, quantity, key) => {
      const wish = place(eventId, quantity, key);
      try {
        return await sellPlainly(url, wish);
      } catch {
        const found = await onConnection(url, (client) =>
          client.query('SELECT FROM purchases WHERE event_id = $1 AND id = $2', [eventId, wish.id]),
        );
        return found.rowCount === 1 ? sold(wish) : nothingHappened;
      }
    },
  };
}

/** Counts what is left in its own memory, to spare the database. */
export function remembering(url: string, quota: number): NamedClient {
  let left = quota;
  return {
    name: 'remembering',
    buy: async (eventId, quantity, key) => {
      if (left < quantity) return { kind: 'refused', code: 'insufficient-availability', available: left };
      left -= quantity;
      return sellPlainly(url, place(eventId, quantity, key)).catch((error: unknown) => ({ kind: 'unknown', why: String(error) }));
    },
  };
}

/** Reads what is left and writes what will be left, with nothing between the two to keep others out. */
export function unlocked(url: string): NamedClient {
  return {
    name: 'unlocked',
    buy: (eventId, quantity, key) =>
      onConnection(url, async (client) => {
        const wish = place(eventId, quantity, key);
        const { rows } = await client.query<{ available: number }>('SELECT available FROM events WHERE id = $1', [eventId]);
        const { available } = rows[0]!;
        if (available < quantity) return { kind: 'refused' as const, code: 'insufficient-availability', available };
        await pause(5);
        await client.query('BEGIN');
        await client.query('UPDATE events SET available = $2 WHERE id = $1', [eventId, available - quantity]);
        await issue(client, wish);
        await client.query('COMMIT');
        return sold(wish);
      }).catch((error: unknown) => ({ kind: 'unknown' as const, why: String(error) })),
  };
}
