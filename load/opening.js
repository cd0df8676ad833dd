/**
 * A sale opens at the announced second. Everybody is there before, asks, is answered with the time to ask again, and does so: half of them after
 * `Retry-After`, the others at `sale_starts_at`. No ticket is sold before that time, and then exactly the quota.
 *
 *     k6 run -e ADMIN_TOKEN=… load/opening.js           BUYERS=5000 QUOTA=1000 OPENS_IN=15 (seconds); WINDOW=no compares: a sale that is open
 *
 * A VU is a JavaScript engine: 5,000 of them need some 3 GB and open as many connections.
 */
import { check, sleep } from 'k6';
import exec from 'k6/execution';
import { Counter, Trend } from 'k6/metrics';
import { audit, buy, makeEvent, newKey, retryAfter, setting } from './client.js';

const buyers = setting('BUYERS', 5000);
const quota = setting('QUOTA', 1000);
const opensIn = setting('OPENS_IN', 15);
const hasWindow = __ENV.WINDOW !== 'no';

const sold = new Counter('tickets_sold');
const early = new Counter('tickets_sold_early');
const waiting = new Counter('answers_not_started');
const shed = new Counter('answers_503');
const strange = new Counter('strange_answers');
/** From the opening to `created_at`, both by the database's clock: its maximum is the time that it took to sell out. */
const afterOpening = new Trend('sold_after_opening', true);

export const options = {
  scenarios: { opening: { executor: 'per-vu-iterations', vus: buyers, iterations: 1, maxDuration: opensIn + 120 + 's' } },
  summaryTrendStats: ['min', 'med', 'p(95)', 'p(99)', 'max'],
  thresholds: {
    checks: ['rate==1'],
    tickets_sold: ['count==' + quota],
    tickets_sold_early: ['count==0'],
    strange_answers: ['count==0'],
    answers_not_started: [hasWindow ? 'count>=' + buyers / 2 : 'count==0'],
    // Shown, not judged.
    answers_503: ['count>=0'],
    sold_after_opening: ['max>=0'],
    'http_req_duration{status:201}': ['max>=0'],
    'http_req_duration{status:409}': ['max>=0'],
  },
};

export function setup() {
  if (buyers <= quota) throw new Error('BUYERS must be more than QUOTA, or the event does not sell out');
  const opensAt = new Date(Date.now() + opensIn * 1000);
  const rules = { totalQuota: quota, maxPurchaseLimit: 4 };
  return { eventId: makeEvent(hasWindow ? Object.assign({ saleStartsAt: opensAt }, rules) : rules), opensAtMs: opensAt.getTime() };
}

/** @param {{ eventId: string, opensAtMs: number }} event */
export default function (event) {
  // Without a window the sale opens, as it were, when everybody comes.
  const opensAtMs = hasWindow ? event.opensAtMs : exec.scenario.startTime;
  const key = newKey();
  for (;;) {
    const answer = buy(event.eventId, 1, key, '60s');
    const code = answer.status === 201 ? 'sold' : String(answer.body).indexOf('{') === 0 ? String(answer.json('code')) : 'none';
    if (answer.status === 201) {
      const createdAtMs = Date.parse(String(answer.json('created_at')));
      check(createdAtMs, { 'sold no earlier than announced': (ms) => ms >= opensAtMs });
      if (createdAtMs < opensAtMs) early.add(1);
      afterOpening.add(createdAtMs - opensAtMs);
      sold.add(1);
      return;
    }
    if (answer.status === 409 && code === 'sold-out') return;
    const isNotYet = answer.status === 409 && code === 'sale-not-started';
    const isShed = answer.status === 503 && code === 'overloaded';
    const isInOrder = check(answer, {
      'not yet, or not now: the answer says when to ask again': () => (isNotYet || isShed) && retryAfter(answer) >= 1,
    });
    if (!isInOrder) {
      strange.add(1, { status: String(answer.status), code: code });
      return;
    }
    (isNotYet ? waiting : shed).add(1);
    const untilOpening = (Date.parse(String(answer.json('sale_starts_at'))) - Date.now()) / 1000;
    // A client whose clock is fast asks too early and is refused again.
    sleep(isNotYet && exec.vu.idInTest % 2 === 0 ? Math.max(0.1, untilOpening) : retryAfter(answer));
  }
}

/** @param {{ eventId: string }} event */
export function teardown(event) {
  audit(event.eventId, { 'exactly the quota was sold': (books) => books.sold_quantity === quota && books.available_quantity === 0 });
}
