// @ts-check
/**
 * Reserve and claim on one row per unit with SKIP LOCKED, after Shopify's description of theirs
 * (https://shopify.engineering/scaling-inventory-reservations: one row per unit, a pool of at most 1,000 rows per item, READ
 * COMMITTED, a composite primary key), in the fastest form that was found on Postgres. Each hold and each claim is one prepared
 * statement in a transaction of its own; neither touches a row that all of them share.
 *
 * `unpooled` is the ledger: units that are neither in the pool nor reserved nor sold. Only refilling and expiry change it, in
 * hundreds. Units in the pool have random ids, and each hold begins to look at a random one: all of them beginning at the
 * smallest would try the same locked rows and pass the same dead index entries. The README has the figures of what was tried.
 */
import pg from 'pg';

/** @typedef {import('../../dist/sale/sale.js').Sale} Sale */
/** @typedef {import('../../dist/sale/types.js').Outcome} Outcome */
/** @typedef {import('../../dist/sale/types.js').PurchaseRequest} PurchaseRequest */

const poolSize = 1_000;
/** Units taken by this process after which it refills the pool, in the background. */
const refillAfter = 250;
const expiryIntervalMs = 100;
const expiredAtOnce = 200;
/** A hold that finds too few unlocked units looks again for so long: others may return what they have locked. */
const patienceMs = 2_000;
const uniqueViolation = '23505';

export const schema = `
  CREATE SCHEMA by_unit;
  CREATE TYPE by_unit.status AS ENUM ('held', 'confirmed', 'expired');
  CREATE TABLE by_unit.events (
    id uuid PRIMARY KEY,
    total_quota integer NOT NULL,
    unpooled integer NOT NULL CHECK (unpooled BETWEEN 0 AND total_quota),
    hold_seconds integer NOT NULL
  ) WITH (fillfactor = 50);
  CREATE TABLE by_unit.units (event_id uuid, id bigint, PRIMARY KEY (event_id, id));
  CREATE TABLE by_unit.purchases (
    event_id uuid,
    id uuid,
    quantity integer NOT NULL,
    status by_unit.status NOT NULL,
    expires_at timestamptz(3) NOT NULL,
    idempotency_key text COLLATE "C",
    request_fingerprint text,
    created_at timestamptz(3) NOT NULL,
    PRIMARY KEY (event_id, id),
    UNIQUE (event_id, idempotency_key)
  );
  CREATE INDEX ON by_unit.purchases (expires_at) WHERE status = 'held';
  CREATE TABLE by_unit.tickets (event_id uuid, purchase_id uuid, id uuid, PRIMARY KEY (event_id, purchase_id, id));`;

const statements = {
  hold: `
    WITH picked AS MATERIALIZED (
      SELECT ctid FROM by_unit.units WHERE event_id = $1 AND id >= $2 ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED
    ), taken AS (
      DELETE FROM by_unit.units WHERE ctid = ANY (ARRAY (SELECT ctid FROM picked)) AND (SELECT count(*) FROM picked) = $3
    )
    INSERT INTO by_unit.purchases
    SELECT $1, $4, $3, 'held', statement_timestamp() + make_interval(secs => $5), $6, $7, statement_timestamp()
     WHERE (SELECT count(*) FROM picked) = $3
    RETURNING created_at AS "createdAt", expires_at AS "expiresAt"`,
  claim: `
    WITH claimed AS (
      UPDATE by_unit.purchases SET status = 'confirmed'
       WHERE event_id = $1 AND id = $2 AND status = 'held' AND expires_at > clock_timestamp()
      RETURNING event_id, id, quantity, created_at, expires_at
    ), issued AS (
      INSERT INTO by_unit.tickets SELECT event_id, id, uuidv7() FROM claimed, generate_series(1, quantity) RETURNING id
    )
    SELECT quantity, created_at AS "createdAt", expires_at AS "expiresAt", ARRAY (SELECT id::text FROM issued ORDER BY id) AS "ticketIds"
      FROM claimed`,
  // One at a time per event: whoever finds the event locked leaves the refilling to the other. A count that is older than the
  // refill before it overfills the pool, and the next one then moves nothing.
  refill: `
    WITH ledger AS MATERIALIZED (
      SELECT id, unpooled FROM by_unit.events WHERE id = $1 FOR UPDATE SKIP LOCKED
    ), moved AS (
      UPDATE by_unit.events e
         SET unpooled = e.unpooled - greatest(0, least(ledger.unpooled, $2 - (SELECT count(*) FROM by_unit.units WHERE event_id = $1)))
        FROM ledger
       WHERE e.id = ledger.id
      RETURNING ledger.unpooled - e.unpooled AS units
    )
    INSERT INTO by_unit.units
    SELECT $1, (random() * 9e18)::bigint FROM moved, generate_series(1, moved.units)`,
  expire: `
    WITH due AS MATERIALIZED (
      SELECT event_id, id FROM by_unit.purchases
       WHERE status = 'held' AND expires_at <= statement_timestamp() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
    ), expired AS (
      UPDATE by_unit.purchases p SET status = 'expired' FROM due WHERE p.event_id = due.event_id AND p.id = due.id
      RETURNING p.event_id, p.quantity
    ), returned AS (
      UPDATE by_unit.events e SET unpooled = e.unpooled + sums.units
        FROM (SELECT event_id, sum(quantity) AS units FROM expired GROUP BY event_id) AS sums
       WHERE e.id = sums.event_id
    )
    SELECT count(*)::int AS count FROM expired`,
  left: `
    SELECT (unpooled + (SELECT count(*) FROM by_unit.units WHERE event_id = $1))::int AS left,
           (SELECT coalesce(sum(quantity), 0) FROM by_unit.purchases WHERE event_id = $1 AND status = 'held')::int AS held
      FROM by_unit.events WHERE id = $1`,
  byKey: `
    SELECT id, quantity, status::text, created_at AS "createdAt", expires_at AS "expiresAt", request_fingerprint AS fingerprint,
           ARRAY (SELECT t.id::text FROM by_unit.tickets t WHERE t.event_id = p.event_id AND t.purchase_id = p.id ORDER BY 1) AS "ticketIds"
      FROM by_unit.purchases p WHERE event_id = $1 AND idempotency_key = $2`,
  byId: `
    SELECT id, quantity, CASE WHEN status = 'held' THEN 'expired' ELSE status::text END AS status,
           created_at AS "createdAt", expires_at AS "expiresAt",
           ARRAY (SELECT t.id::text FROM by_unit.tickets t WHERE t.event_id = p.event_id AND t.purchase_id = p.id ORDER BY 1) AS "ticketIds"
      FROM by_unit.purchases p WHERE event_id = $1 AND id = $2`,
  event: 'SELECT hold_seconds AS "holdSeconds" FROM by_unit.events WHERE id = $1',
};

/** @param {string} eventId @param {Record<string, any>} row @returns {import('../../dist/sale/types.js').Purchase} */
const purchaseOf = (eventId, { id, quantity, status, createdAt, expiresAt, ticketIds = [] }) => ({
  id,
  eventId,
  quantity,
  status,
  buyerId: null,
  reference: null,
  createdAt,
  expiresAt,
  ticketIds,
});

/**
 * @param {string} url
 * @param {number} connections to Postgres
 * @returns {Promise<Pick<Sale, 'sell' | 'confirm'>>}
 */
export async function openUnitSale(url, connections) {
  const pool = new pg.Pool({ connectionString: url, max: connections, idleTimeoutMillis: 0, application_name: 'one row per unit' });
  /** @param {keyof typeof statements} name @param {unknown[]} values */
  const run = async (name, values) => (await pool.query({ name, text: statements[name], values })).rows;
  /** @type {Map<string, { holdSeconds: number, taken: number, refilling: Promise<unknown> | undefined }>} */
  const events = new Map();

  /** @param {string} eventId */
  async function eventOf(eventId) {
    const known = events.get(eventId);
    if (known) return known;
    const [row] = await run('event', [eventId]);
    const event = row && { holdSeconds: row.holdSeconds, taken: 0, refilling: undefined };
    if (event) events.set(eventId, event);
    return event;
  }

  /** Fills the pool up to its size; at once for all who ask meanwhile. @param {string} eventId @param {{ taken: number, refilling: Promise<unknown> | undefined }} event */
  function refill(eventId, event) {
    event.taken = 0;
    event.refilling ??= run('refill', [eventId, poolSize]).finally(() => {
      event.refilling = undefined;
    });
    return event.refilling;
  }

  /** @param {string} eventId @param {PurchaseRequest} request @returns {Promise<Outcome>} */
  async function hold(eventId, request) {
    const event = await eventOf(eventId);
    if (!event) return { kind: 'event-not-found' };
    const { purchaseId: id, quantity, idempotency } = request;
    const giveUpAt = performance.now() + patienceMs;
    for (let start = Math.random() * 9e18; ; start = 0) {
      const values = [eventId, BigInt(Math.floor(start)), quantity, id, event.holdSeconds, idempotency?.key, idempotency?.fingerprint];
      const [row] = await run('hold', values);
      if (row) {
        event.taken += quantity;
        if (event.taken >= refillAfter) void refill(eventId, event);
        return { kind: 'granted', purchase: purchaseOf(eventId, { id, quantity, status: 'held', ...row }), replayed: false };
      }
      // Too few from a random unit on is common; from the first one on, the pool has run low.
      if (start > 0) continue;
      await expire();
      await refill(eventId, event);
      const [{ left, held }] = await run('left', [eventId]);
      if (left === 0) return { kind: 'sold-out', held };
      if (left < quantity || performance.now() > giveUpAt) return { kind: 'insufficient-availability', available: left, held };
    }
  }

  async function expire() {
    const [{ count }] = await run('expire', [expiredAtOnce]);
    return count === expiredAtOnce;
  }

  async function expireAlways() {
    for (;;) if (!(await expire())) await new Promise((resolve) => setTimeout(resolve, expiryIntervalMs));
  }

  void expireAlways();
  return {
    sell: async (eventId, request) => {
      if (request.kind !== 'buy') throw new Error('only holds and claims are compared');
      try {
        return await hold(eventId, request);
      } catch (error) {
        if (/** @type {{ code?: string }} */ (error).code !== uniqueViolation) throw error;
        const [row] = await run('byKey', [eventId, request.idempotency?.key]);
        if (!row) throw error; // two units with the same random number
        if (row.fingerprint !== request.idempotency?.fingerprint) return { kind: 'idempotency-key-reused' };
        return { kind: 'granted', purchase: purchaseOf(eventId, row), replayed: true };
      }
    },
    confirm: async ({ eventId, purchaseId: id }) => {
      const [row] = await run('claim', [eventId, id]);
      if (row) return { kind: 'settled', purchase: purchaseOf(eventId, { id, status: 'confirmed', ...row }) };
      const [found] = await run('byId', [eventId, id]);
      if (!found) return { kind: 'purchase-not-found' };
      return found.status === 'expired' ? { kind: 'hold-expired' } : { kind: 'settled', purchase: purchaseOf(eventId, found) };
    },
  };
}
