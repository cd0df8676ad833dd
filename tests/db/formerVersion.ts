/**
 * The version before holds, as far as a database sees it: its schema, and the statements of its sale, word for word, prepared on
 * sessions with its limits.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import pg from 'pg';
import { v7 as uuidv7 } from 'uuid';
import { knownMigrations } from '../../src/db/migrate.js';

const lastMigration = '20261124100000_event_revision';

/** @returns the migrations of this version that the former one did not have */
export async function migrateToFormerVersion(sql: pg.Pool): Promise<string[]> {
  await sql.query(`CREATE TABLE _prisma_migrations (
    id varchar(36) PRIMARY KEY, checksum varchar(64) NOT NULL, finished_at timestamptz, migration_name varchar(255) NOT NULL, logs text,
    rolled_back_at timestamptz, started_at timestamptz NOT NULL DEFAULT now(), applied_steps_count integer NOT NULL DEFAULT 0)`);
  const known = await knownMigrations();
  for (const name of known.filter((each) => each <= lastMigration)) {
    const script = await readFile(`prisma/migrations/${name}/migration.sql`, 'utf8');
    await sql.query(script);
    await sql.query(
      `INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at, applied_steps_count) VALUES (gen_random_uuid(), $1, $2, now(), 1)`,
      [createHash('sha256').update(script).digest('hex'), name],
    );
  }
  return known.filter((name) => name > lastMigration);
}

const record = `
    WITH sold AS (
      UPDATE events
         SET available = available - $1::int, updated_at = statement_timestamp()
       WHERE id = $2::uuid AND events.available >= $1::int AND events.revision = $3::int
      RETURNING id
    ), bought AS (
      INSERT INTO purchases (event_id, id, quantity, idempotency_key, request_fingerprint, created_at)
      SELECT sold.id, new.id, new.quantity, new.key, new.fingerprint, statement_timestamp()
        FROM sold, unnest($4::uuid[], $5::int[], $6::text[], $7::text[])
                     AS new (id, quantity, key, fingerprint)
      RETURNING 1
    ), issued AS (
      INSERT INTO tickets (event_id, id, purchase_id)
      SELECT sold.id, new.id, new.purchase_id
        FROM sold, unnest($8::uuid[], $9::uuid[]) AS new (id, purchase_id)
      RETURNING 1
    )
    SELECT (SELECT count(*)::int FROM sold) AS sold,
           (SELECT count(*)::int FROM bought) AS purchases,
           (SELECT count(*)::int FROM issued) AS tickets,
           statement_timestamp()::timestamptz(3) AS "createdAt"`;
const readExisting = `
    WITH found AS (
      SELECT p.id, p.quantity, p.idempotency_key, p.request_fingerprint, p.created_at
        FROM unnest($1::uuid[]) AS asked (id),
             LATERAL (SELECT * FROM purchases WHERE event_id = $2::uuid AND id = asked.id OFFSET 0) AS p
       UNION
      SELECT p.id, p.quantity, p.idempotency_key, p.request_fingerprint, p.created_at
        FROM unnest($3::text[]) AS asked (key),
             LATERAL (SELECT * FROM purchases WHERE event_id = $2::uuid AND idempotency_key = asked.key OFFSET 0) AS p
    )
    SELECT id, quantity, idempotency_key AS "key", request_fingerprint AS "fingerprint", created_at AS "createdAt",
           ARRAY (SELECT t.id::text
                    FROM tickets t
                   WHERE t.event_id = $2::uuid AND t.purchase_id = found.id
                   ORDER BY t.id) AS "ticketIds"
      FROM found`;
const lockEvent = `
    SELECT events.available, events.revision, events.max_purchase_limit AS "maxPurchaseLimit"
      FROM events
     WHERE id = $1::uuid
       FOR NO KEY UPDATE`;
const updateLimit = `
    UPDATE events
       SET name = coalesce($1::text, name),
           max_purchase_limit = coalesce($2::int, max_purchase_limit), revision = revision + $3::int,
           updated_at = statement_timestamp()
     WHERE id = $4::uuid
    RETURNING events.id, events.name, events.total_quota AS "totalQuota", events.available, events.revision,
              events.max_purchase_limit AS "maxPurchaseLimit", events.created_at AS "createdAt", events.updated_at AS "updatedAt"`;
const readEvent = `
    SELECT events.id, events.name, events.total_quota AS "totalQuota", events.available, events.revision,
           events.max_purchase_limit AS "maxPurchaseLimit", events.created_at AS "createdAt", events.updated_at AS "updatedAt"
      FROM events
     WHERE id = ANY ($1::uuid[])`;

export interface FormerPurchase {
  readonly id: string;
  readonly key: string;
  readonly quantity: number;
  readonly ticketIds: readonly string[];
}

/** One connection of a replica of the former version. */
export class FormerSession {
  readonly #client: pg.Client;

  private constructor(client: pg.Client) {
    this.#client = client;
  }

  static async open(url: string): Promise<FormerSession> {
    const options = '-c lock_timeout=1000 -c statement_timeout=2000';
    const client = new pg.Client({ connectionString: url, application_name: 'the former version', options });
    client.on('error', () => undefined); // whatever it does then fails
    await client.connect();
    return new FormerSession(client);
  }

  close(): Promise<void> {
    return this.#client.end();
  }

  async #run<R extends pg.QueryResultRow>(name: string, text: string, values: readonly unknown[]): Promise<R[]> {
    return (await this.#client.query<R>({ name, text, values: [...values] })).rows;
  }

  /** As on its fast path. @returns undefined if nothing was sold by the revision */
  async buy(eventId: string, revision: number, quantity: number): Promise<FormerPurchase | undefined> {
    const purchase = { id: uuidv7(), key: uuidv7(), quantity, ticketIds: Array.from({ length: quantity }, () => uuidv7()) };
    const values = [quantity, eventId, revision, [purchase.id], [quantity], [purchase.key], [fingerprintOf(quantity)]];
    const [row] = await this.#run<{ sold: number; purchases: number; tickets: number }>('record', record, [
      ...values,
      purchase.ticketIds,
      purchase.ticketIds.map(() => purchase.id),
    ]);
    if (row?.sold === 0) return undefined;
    if (row?.purchases !== 1 || row.tickets !== quantity) throw new Error(`wrote ${JSON.stringify(row)}`);
    return purchase;
  }

  /** As on its locked path. */
  async buyLocked(eventId: string, quantity: number): Promise<FormerPurchase | undefined> {
    await this.#client.query('BEGIN');
    const [event] = await this.#run<{ revision: number }>('lock', lockEvent, [eventId]);
    await this.find(eventId, []);
    const purchase = await this.buy(eventId, event!.revision, quantity);
    await this.#client.query('COMMIT');
    return purchase;
  }

  find(eventId: string, keys: readonly string[]): Promise<FormerPurchase[]> {
    return this.#run<FormerPurchase>('existing', readExisting, [[], eventId, keys]);
  }

  changeLimit(eventId: string, limit: number): Promise<unknown> {
    return this.#run('update', updateLimit, [null, limit, 1, eventId]);
  }

  async readEvent(eventId: string): Promise<{ readonly available: number; readonly revision: number }> {
    return (await this.#run<{ available: number; revision: number }>('events', readEvent, [[eventId]]))[0]!;
  }
}

/** Of the body of a purchase that names nothing but its quantity. */
export const fingerprintOf = (quantity: number) => JSON.stringify({ quantity });
