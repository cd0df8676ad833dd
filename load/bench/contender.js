// @ts-check
/**
 * A process that answers like onsale and sells in another way: the same application, middleware and validation, around
 * another sale. `node load/bench/contender.js nothing | plain | one-by-one | one-row-per-unit | redis`, with DATABASE_URL, REDIS_URL
 * and ADMIN_TOKEN, which confirms.
 */
import { createServer } from 'node:http';
import { pino } from 'pino';
import { createClient } from '@redis/client';
import { createApp } from '../../dist/http/app.js';
import { createCallers } from '../../dist/http/middleware/callers.js';
import { openPool } from '../../dist/db/client.js';
import { createExpressServer } from '../../dist/http/server/expressServer.js';
import { createGate } from '../../dist/http/server/gate.js';
import { createMetrics } from '../../dist/observability/metrics.js';
import { Refusals } from '../../dist/http/server/refusals.js';
import { newId } from '../../dist/sale/ids.js';
import { openUnitSale } from './oneRowPerUnit.js';

/**
 * @typedef {(eventId: string, request: import('../../dist/sale/types.js').PurchaseRequest) => Promise<import('../../dist/sale/types.js').Outcome>} Buy
 * @typedef {Pick<import('../../dist/sale/sale.js').Sale, 'sell' | 'confirm'>} Sale
 */

/**
 * @param {string} eventId
 * @param {import('../../dist/sale/types.js').PurchaseRequest} request
 */
function purchaseOf(eventId, { purchaseId: id, quantity, buyerId, reference }) {
  const status = /** @type {const} */ ('confirmed');
  const ticketIds = Array.from({ length: quantity }, newId);
  return { id, eventId, quantity, status, buyerId, reference, createdAt: new Date(), expiresAt: null, ticketIds };
}

/** @param {Buy} buy @returns {Sale} */
function onlyBuying(buy) {
  const other = () => Promise.reject(new Error('this contender only sells'));
  return { sell: (eventId, request) => (request.kind === 'buy' ? buy(eventId, request) : other()), confirm: other };
}

/** The ceiling: everything that HTTP costs, and no sale. @returns {Promise<Sale>} */
async function nothing() {
  return onlyBuying((eventId, request) => Promise.resolve({ kind: 'granted', purchase: purchaseOf(eventId, request), replayed: false }));
}

/** The obvious program: an interactive transaction for each request. @returns {Promise<Sale>} */
async function oneByOne() {
  const { prisma } = openPool(process.env['DATABASE_URL'] ?? '', 'one by one', {
    connectionsMax: 10,
    connectTimeoutMs: 60_000,
    lockTimeoutMs: 60_000,
    statementTimeoutMs: 60_000,
    transactionTimeoutMs: 60_000,
    clientDeadlineMs: 60_000,
    readFenceMs: 60_000,
    connectionAgeMaxMs: 3_600_000,
  });
  return onlyBuying((eventId, request) =>
    prisma.$transaction(
      async (tx) => {
        const purchase = purchaseOf(eventId, request);
        const { id, quantity, createdAt, ticketIds } = purchase;
        const where = { id: eventId, available: { gte: quantity } };
        const { count } = await tx.event.updateMany({ where, data: { available: { decrement: quantity } } });
        if (count === 0) return { kind: 'sold-out', held: 0 };
        const key = { idempotencyKey: request.idempotency?.key ?? null, requestFingerprint: request.idempotency?.fingerprint ?? null };
        await tx.purchase.create({ data: { id, eventId, quantity, createdAt, ...key } });
        await tx.ticket.createMany({ data: ticketIds.map((ticketId) => ({ id: ticketId, eventId, purchaseId: id })) });
        return { kind: 'granted', purchase, replayed: false };
      },
      { maxWait: 60_000, timeout: 60_000 },
    ),
  );
}

/** 12 to 48 connections came to the same, 8 and 100 to less (README). @returns {Promise<Sale>} */
const oneRowPerUnit = () => openUnitSale(process.env['DATABASE_URL'] ?? '', Number(process.env['UNIT_CONNECTIONS'] ?? 24));

/** What everybody reaches for: a counter and a log, in one script, each command on disk before it is answered. @returns {Promise<Sale>} */
async function redis() {
  const client = await createClient({ url: process.env['REDIS_URL'] ?? '' }).connect();
  const script = `
    local left = tonumber(redis.call('GET', KEYS[1]) or ARGV[3])
    if left < tonumber(ARGV[1]) then return 0 end
    redis.call('SET', KEYS[1], left - ARGV[1])
    redis.call('XADD', KEYS[2], '*', 'purchase', ARGV[2])
    return 1`;
  const sha = await client.scriptLoad(script);
  return onlyBuying(async (eventId, request) => {
    const purchase = purchaseOf(eventId, request);
    const keys = [`available:${eventId}`, `purchases:${eventId}`];
    const sold = await client.evalSha(sha, { keys, arguments: [String(request.quantity), JSON.stringify(purchase), '10000000'] });
    return sold === 1 ? { kind: 'granted', purchase, replayed: false } : { kind: 'sold-out', held: 0 };
  });
}

/** @type {Record<string, () => Promise<Sale>>} */
const sales = { nothing, plain: nothing, 'one-by-one': oneByOne, 'one-row-per-unit': oneRowPerUnit, redis };

const name = process.argv[2] ?? '';
const sale = await sales[name]?.();
if (!sale) throw new Error(`no contender is called "${name}"`);

const event = {
  id: newId(),
  name: 'nothing',
  totalQuota: 100,
  available: 100,
  phase: /** @type {const} */ ('open'),
  startsInSeconds: null,
  maxPurchaseLimit: 4,
  saleStartsAt: null,
  saleEndsAt: null,
  maxPerBuyer: null,
  holdSeconds: null,
  revision: 1,
  createdAt: new Date(),
  updatedAt: new Date(),
};
const ready = { check: async () => /** @type {const} */ ({ ready: true }), schemaKnown: () => true, drain: () => undefined };
const unused = /** @type {never} */ (undefined);
const bounds = { inProgressMax: 100, atOnceMax: 1, waitMs: 1_000 };
const refusals = new Refusals(1_000);
const app = createApp({
  sale,
  availability: { read: async () => ({ kind: 'found', event }) },
  reads: unused,
  admin: unused,
  exports: unused,
  callers: createCallers({ adminToken: process.env['ADMIN_TOKEN'] ?? '' }),
  readiness: ready,
  metrics: createMetrics(() => undefined),
  log: pino({ level: 'warn' }),
  refuseEarly: () => false,
  refusals,
  operationsElsewhere: false,
  limits: {
    lookups: bounds,
    lists: bounds,
    admin: bounds,
    exports: bounds,
    batchTakenMs: 1_000,
    requestsPerMinuteMax: 0,
    trustedProxies: 0,
  },
});
const { listener } = createGate(() => false, refusals, app);
// `plain` is what `app.listen` gives, and what most programs have (see createExpressServer).
const server = name === 'plain' ? createServer(listener) : createExpressServer(app, listener);
server.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, () => {
  const address = /** @type {import('node:net').AddressInfo} */ (server.address());
  process.stdout.write(`listening on http://127.0.0.1:${address.port}\n`);
});
