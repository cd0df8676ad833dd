// @ts-check
/** What the benchmark writes into the database before a run, and the conservation queries after it. */
import { writeFile } from 'node:fs/promises';
import { schema as unitSchema } from './oneRowPerUnit.js';

/** @typedef {{ held: number, sold: number }} Taken */

/** What the sale under test does with holds, in SQL. */
const onsale = {
  count: `
    SELECT e.available, e.total_quota AS quota, coalesce(p.held, 0)::int AS held, coalesce(p.sold, 0)::int AS sold, coalesce(t.issued, 0)::int AS issued
      FROM events e
      LEFT JOIN (SELECT event_id, sum(quantity) FILTER (WHERE status = 'held') AS held, sum(quantity) FILTER (WHERE status = 'confirmed') AS sold
                   FROM purchases WHERE event_id = ANY ($1) GROUP BY 1) p ON p.event_id = e.id
      LEFT JOIN (SELECT event_id, count(*) AS issued FROM tickets WHERE event_id = ANY ($1) GROUP BY 1) t ON t.event_id = e.id
     WHERE e.id = ANY ($1)`,
  take: 'UPDATE events SET available = available - $2 WHERE id = $1',
  purchases: 'purchases',
};
const oneRowPerUnit = {
  count: `
    SELECT e.unpooled + coalesce(u.pooled, 0)::int AS available, e.total_quota AS quota, coalesce(p.held, 0)::int AS held,
           coalesce(p.sold, 0)::int AS sold, coalesce(t.issued, 0)::int AS issued
      FROM by_unit.events e
      LEFT JOIN (SELECT event_id, count(*) AS pooled FROM by_unit.units WHERE event_id = ANY ($1) GROUP BY 1) u ON u.event_id = e.id
      LEFT JOIN (SELECT event_id, sum(quantity) FILTER (WHERE status = 'held') AS held, sum(quantity) FILTER (WHERE status = 'confirmed') AS sold
                   FROM by_unit.purchases WHERE event_id = ANY ($1) GROUP BY 1) p ON p.event_id = e.id
      LEFT JOIN (SELECT event_id, count(*) AS issued FROM by_unit.tickets WHERE event_id = ANY ($1) GROUP BY 1) t ON t.event_id = e.id
     WHERE e.id = ANY ($1)`,
  take: 'UPDATE by_unit.events SET unpooled = unpooled - $2 WHERE id = $1',
  purchases: 'by_unit.purchases',
};

/** @param {import('pg').Pool} sql @param {typeof onsale} ledger */
const booksOf = (sql, ledger) => ({
  /** The conservation query: a run that broke it is void. @param {string[]} eventIds @returns {Promise<Taken>} tickets of all of them */
  audit: async (eventIds) => {
    const { rows } = await sql.query(ledger.count, [eventIds]);
    const broken = rows.filter((row) => row.available < 0 || row.available + row.held + row.sold !== row.quota || row.sold !== row.issued);
    if (rows.length !== eventIds.length || broken.length > 0) throw new Error(`not conserved: ${JSON.stringify(broken)}`);
    return { held: rows.reduce((sum, row) => sum + row.held, 0), sold: rows.reduce((sum, row) => sum + row.sold, 0) };
  },

  /**
   * Holds of two tickets, as if made before the run.
   *
   * @param {string} eventId
   * @param {number} count
   * @param {{ fromSeconds: number, toSeconds: number }} expiry from now, spread evenly over this time
   * @returns {Promise<string[]>} their ids, oldest first
   */
  makeHolds: async (eventId, count, { fromSeconds, toSeconds }) => {
    const client = await sql.connect();
    try {
      await client.query('BEGIN');
      await client.query(ledger.take, [eventId, count * 2]);
      const { rows } = await client.query(
        `INSERT INTO ${ledger.purchases} (event_id, id, quantity, status, expires_at, idempotency_key, request_fingerprint, created_at)
         SELECT $1, uuidv7(), 2, 'held', now() + make_interval(secs => $3 + ($4::float8 - $3) * n / $2), 'a hold of before ' || n, '{"quantity":2}', now()
           FROM generate_series(1, $2::int) n
         RETURNING id`,
        [eventId, count, fromSeconds, toSeconds],
      );
      await client.query('COMMIT');
      return rows.map((row) => row.id);
    } finally {
      client.release();
    }
  },

  /** Resolves when everything that is due has been returned. @param {string} eventId */
  untilNoneIsDue: async (eventId) => {
    const isDue = `SELECT FROM ${ledger.purchases} WHERE event_id = $1 AND status = 'held' AND expires_at <= now() LIMIT 1`;
    for (const giveUpAt = Date.now() + 60_000; (await sql.query(isDue, [eventId])).rowCount !== 0;) {
      if (Date.now() > giveUpAt) throw new Error('expired holds were not returned within a minute');
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  },
});

/** @param {import('pg').Pool} sql */
export async function openBooks(sql) {
  await sql.query(unitSchema);
  return {
    onsale: booksOf(sql, onsale),
    oneRowPerUnit: booksOf(sql, oneRowPerUnit),

    /** @param {number} totalQuota @param {number} holdSeconds @returns {Promise<string>} the id of an event of the contender */
    makeUnitEvent: async (totalQuota, holdSeconds) => {
      const { rows } = await sql.query('INSERT INTO by_unit.events VALUES (uuidv7(), $1, $1, $2) RETURNING id', [totalQuota, holdSeconds]);
      return rows[0].id;
    },

    /** An event that has sold this many tickets, four a purchase. @param {number} tickets */
    makeOldEvent: async (tickets) => {
      const client = await sql.connect();
      try {
        const { rows } = await client.query(
          `INSERT INTO events (id, name, total_quota, available, max_purchase_limit)
           VALUES (uuidv7(), 'Benchmark, half sold', 10000000, 10000000 - $1, 4) RETURNING id`,
          [tickets],
        );
        const eventId = rows[0].id;
        await client.query(
          `WITH bought AS (
             INSERT INTO purchases (event_id, id, quantity, idempotency_key, request_fingerprint, created_at)
             SELECT $1, uuidv7(), 4, 'an old purchase ' || n, '{"quantity":4}', now() FROM generate_series(1, $2::int / 4) n
             RETURNING id)
           INSERT INTO tickets (event_id, id, purchase_id) SELECT $1, uuidv7(), id FROM bought, generate_series(1, 4)`,
          [eventId, tickets],
        );
        return /** @type {string} */ (eventId);
      } finally {
        await client.query('VACUUM (ANALYZE) events, purchases, tickets');
        client.release();
      }
    },
  };
}

/** @param {string} path @param {string[]} lines */
export const writeLines = (path, lines) => writeFile(path, `${lines.join('\n')}\n`);
