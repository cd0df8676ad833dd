/**
 * The client of the load scripts: settings from the environment, an event of their own, purchases, and the audit that ends
 * every run. Written in the JavaScript that k6 0.47 reads as well as today's (no `?.`, `??` or object spread).
 */
import { check, fail, sleep } from 'k6';
import http from 'k6/http';

const base = __ENV.BASE_URL || 'http://127.0.0.1:3000';
/** Where the probes of a replica are: its OPERATIONS_PORT, if it has one. */
const operations = __ENV.OPERATIONS_URL || base;
const token = __ENV.ADMIN_TOKEN || '';
/** Who takes the payment, and confirms. */
const sellerToken = __ENV.SELLER_TOKEN || token;

/** @param {string} name @param {number} fallback */
export function setting(name, fallback) {
  const given = __ENV[name];
  if (given === undefined || given === '') return fallback;
  if (!(Number(given) > 0)) fail(name + ' must be a number above 0, not "' + given + '"');
  return Number(given);
}

/** @param {string} fallback such as '30s' */
export function duration(fallback) {
  return __ENV.DURATION || fallback;
}

const asJson = { 'Content-Type': 'application/json' };

function asAdmin() {
  return { headers: { 'Content-Type': 'application/json', Authorization: 'Bearer ' + token } };
}

/**
 * Makes the event of this run; for `setup`.
 *
 * @param {{ totalQuota: number, maxPurchaseLimit: number, saleStartsAt?: Date, holdSeconds?: number }} event
 * @returns {string} its id
 */
export function makeEvent(event) {
  if (token === '') fail('set ADMIN_TOKEN (npm start prints it), and BASE_URL if it is not ' + base);
  const body = Object.assign(
    { name: 'k6', total_quota: event.totalQuota, max_purchase_limit: event.maxPurchaseLimit },
    event.saleStartsAt && { sale_starts_at: event.saleStartsAt.toISOString() },
    event.holdSeconds && { hold_seconds: event.holdSeconds },
  );
  const answer = http.post(base + '/admin/events', JSON.stringify(body), asAdmin());
  if (answer.status !== 201) fail('no event was made: ' + answer.status + ' ' + answer.body);
  return String(answer.json('id'));
}

/** A key that no other purchase of any run has. */
export function newKey() {
  const iteration = typeof __ITER === 'undefined' ? 'none' : __ITER; // in setup and teardown
  return 'k6-' + Date.now().toString(36) + '-' + __VU + '-' + iteration + '-' + Math.random().toString(36).slice(2);
}

/**
 * A purchase as `http.batch` takes it.
 *
 * @param {string} eventId
 * @param {number} quantity
 * @param {string} key
 * @param {string} [timeout] such as '50ms'
 */
export function purchaseRequest(eventId, quantity, key, timeout) {
  const headers = Object.assign({ 'Idempotency-Key': key }, asJson);
  return {
    method: 'POST',
    url: base + '/events/' + eventId + '/purchases',
    body: JSON.stringify({ quantity: quantity }),
    params: { headers: headers, timeout: timeout || '10s', tags: { name: 'purchase' } },
  };
}

/**
 * @param {string} eventId
 * @param {number} quantity
 * @param {string} key
 * @param {string} [timeout] such as '50ms'
 */
export function buy(eventId, quantity, key, timeout) {
  const request = purchaseRequest(eventId, quantity, key, timeout);
  return http.post(request.url, request.body, request.params);
}

/** Confirms a hold, as the seller. @param {string} eventId @param {string} purchaseId */
export function confirm(eventId, purchaseId) {
  const params = { headers: { Authorization: 'Bearer ' + sellerToken }, tags: { name: 'confirm' } };
  return http.post(base + '/events/' + eventId + '/purchases/' + purchaseId + '/confirm', null, params);
}

/** The seconds after which the answer says to ask again; 0 if it does not. @param {import('k6/http').Response} answer */
export function retryAfter(answer) {
  return Number(answer.headers['Retry-After'] || 0);
}

/**
 * Sends a request again for as long as the answer is 503, after the time that it says.
 *
 * @param {() => import('k6/http').RefinedResponse<'text'>} send
 */
export function patiently(send) {
  for (;;) {
    const answer = send();
    if (answer.status !== 503 || retryAfter(answer) === 0) return answer;
    sleep(retryAfter(answer));
  }
}

/** The liveness probe. */
export function isAlive() {
  return http.get(operations + '/healthz', { tags: { name: 'alive' } });
}

/** @param {number[]} values @param {number} fraction such as 0.95 */
export function percentile(values, fraction) {
  const sorted = values.slice().sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] || 0;
}

/** @param {string} eventId */
export function readAvailability(eventId) {
  return http.get(base + '/events/' + eventId, { tags: { name: 'availability' } });
}

/**
 * @typedef {object} Books
 * @property {number} total_quota
 * @property {number} available_quantity
 * @property {number} held_quantity
 * @property {number} sold_quantity
 * @property {number} tickets_issued
 * @property {boolean} consistent
 */

/**
 * Counts the rows; for `teardown`. A run that is not conserved has failed, whatever its latencies: `checks` is a threshold
 * of every script.
 *
 * @param {string} eventId
 * @param {Record<string, (books: Books) => boolean>} [more] what else must be true of the books
 */
export function audit(eventId, more) {
  const options = Object.assign({ timeout: '60s' }, asAdmin());
  const answer = http.get(base + '/admin/events/' + eventId + '/audit', options);
  if (answer.status !== 200) fail('no audit: ' + answer.status + ' ' + answer.body);
  const books = /** @type {Books} */ (/** @type {unknown} */ (answer.json()));
  console.log('audit: ' + JSON.stringify(books));
  const laws = Object.assign({ 'the books balance': (/** @type {Books} */ found) => found.consistent }, more);
  check(books, laws);
}
