/**
 * Everyone holds tickets at once. A third confirms in time, a third too late, and a third never. What was not confirmed comes back,
 * every ticket of it, and the event then sells out exactly.
 *
 *     k6 run -e ADMIN_TOKEN=… load/hold-and-confirm.js  BUYERS=1500 HOLD_SECONDS=10; SELLER_TOKEN where there is one
 */
import { check, sleep } from 'k6';
import exec from 'k6/execution';
import { Counter } from 'k6/metrics';
import { audit, buy, confirm, makeEvent, newKey, patiently, readAvailability, setting } from './client.js';

const buyers = setting('BUYERS', 1500);
const holdSeconds = setting('HOLD_SECONDS', 10);
/** Of the largest purchase; in the end the rest is bought by as few buyers as possible. */
const limit = 1000;
const payingSecondsMax = holdSeconds / 2;

const behaviours = ['in time', 'too late', 'never'];
/** @param {number} buyer from 0 */
const behaviourOf = (buyer) => behaviours[buyer % 3];
/** @param {number} buyer */
const quantityOf = (buyer) => 1 + (Math.floor(buyer / 3) % 4);
const everyBuyer = Array.from({ length: buyers }, (_, buyer) => buyer);
/** @param {number[]} some */
const tickets = (some) => some.reduce((sum, buyer) => sum + quantityOf(buyer), 0);
const quota = Math.max(tickets(everyBuyer), limit);
const confirmedInTime = tickets(everyBuyer.filter((buyer) => behaviourOf(buyer) === 'in time'));

const confirmed = new Counter('tickets_confirmed');
const late = new Counter('confirmations_too_late');

export const options = {
  scenarios: { rush: { executor: 'per-vu-iterations', vus: buyers, iterations: 1, maxDuration: holdSeconds * 2 + 60 + 's' } },
  teardownTimeout: holdSeconds + 120 + 's',
  summaryTrendStats: ['med', 'p(95)', 'p(99)', 'max'],
  thresholds: {
    checks: ['rate==1'],
    tickets_confirmed: ['count==' + quota],
    confirmations_too_late: ['count==' + everyBuyer.filter((buyer) => behaviourOf(buyer) === 'too late').length],
    // Shown, not judged.
    'http_req_duration{name:purchase}': ['max>=0'],
    'http_req_duration{name:confirm}': ['max>=0'],
  },
};

export function setup() {
  return makeEvent({ totalQuota: quota, maxPurchaseLimit: limit, holdSeconds: holdSeconds });
}

/** @param {string} eventId */
export default function (eventId) {
  const buyer = exec.scenario.iterationInTest;
  const key = newKey();
  const hold = patiently(() => buy(eventId, quantityOf(buyer), key));
  const isHeld = check(hold, {
    'held, without tickets': (answer) => answer.status === 201 && answer.json('status') === 'held' && answer.json('tickets.#') === 0,
  });
  if (!isHeld || behaviourOf(buyer) === 'never') return;
  const id = String(hold.json('id'));
  if (behaviourOf(buyer) === 'in time') {
    sleep(Math.random() * payingSecondsMax);
    pay(eventId, id, quantityOf(buyer));
    return;
  }
  // From when the answer was received, so that it is too late whatever the clocks say.
  sleep(holdSeconds + 0.1);
  const refusal = patiently(() => confirm(eventId, id));
  const isRefused = check(refusal, {
    'too late: hold-expired': (answer) => answer.status === 409 && answer.json('code') === 'hold-expired',
  });
  if (isRefused) late.add(1);
}

/** @param {string} eventId @param {string} id @param {number} quantity */
function pay(eventId, id, quantity) {
  const paid = patiently(() => confirm(eventId, id));
  const isConfirmed = check(paid, {
    'confirmed, with its tickets': (answer) =>
      answer.status === 200 && answer.json('status') === 'confirmed' && answer.json('tickets.#') === quantity,
  });
  if (isConfirmed) confirmed.add(quantity);
}

/** @param {string} eventId */
export function teardown(eventId) {
  sleep(holdSeconds + 0.1); // the last hold may have been abandoned just now
  const rest = quota - confirmedInTime;
  check(Number(readAvailability(eventId).json('available_quantity')), { 'what was not confirmed is available': (left) => left === rest });
  audit(eventId, { 'what was confirmed in time is sold': (books) => books.sold_quantity === confirmedInTime });
  for (let left = rest; left > 0; left -= limit) {
    const quantity = Math.min(left, limit);
    const hold = buy(eventId, quantity, newKey());
    check(hold, { 'what came back is held again': (answer) => answer.status === 201 });
    pay(eventId, String(hold.json('id')), quantity);
  }
  check(buy(eventId, 1, newKey()), { 'and then nothing is left': (answer) => answer.status === 409 && answer.json('code') === 'sold-out' });
  audit(eventId, {
    'exactly the quota was sold': (books) =>
      books.sold_quantity === quota && books.held_quantity === 0 && books.available_quantity === 0 && books.tickets_issued === quota,
  });
}
