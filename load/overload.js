/**
 * Ten times the load that can be served, and back: the API must sell on at full speed, refuse the rest early, answer probes and
 * readers of other events meanwhile, and have recovered two seconds after.
 *
 *     k6 run -e ADMIN_TOKEN=… load/overload.js          CAPACITY=1000 TIMES=10 PLATEAU=60 VUS=4000 CROWD=64
 *
 * before (10 s, a crowd that waits for its answers: the most that can be sold) → up (5 s, arrivals from CAPACITY) → plateau
 * (TIMES × CAPACITY arrivals a second) → down (5 s) → 2 s of rest → after (10 s, the same crowd).
 */
import { check, sleep } from 'k6';
import exec from 'k6/execution';
import { Counter, Gauge } from 'k6/metrics';
import { audit, buy, isAlive, makeEvent, newKey, percentile, readAvailability, setting } from './client.js';

const capacity = setting('CAPACITY', 1000);
const peak = capacity * setting('TIMES', 10);
// With fewer than the bound of purchases in progress, no request is ever refused: a VU is one waiting buyer.
const vus = setting('VUS', 4000);
const plateau = setting('PLATEAU', 60);
const [calm, ramp, rest] = [10, 5, 2];
const overloadBegins = calm;
const plateauBegins = overloadBegins + ramp;
const plateauEnds = plateauBegins + plateau;
const afterBegins = plateauEnds + ramp + rest;
const ends = afterBegins + calm;

// Each scenario waits for its last answers, but no longer than the rest before the next.
const crowd = { executor: 'constant-vus', vus: setting('CROWD', 64), duration: calm + 's', gracefulStop: rest + 's' };
const watching = { executor: 'per-vu-iterations', vus: 1, iterations: 1, maxDuration: ends + 30 + 's' };

const goodputKept = new Gauge('goodput_kept');
const latencyAfter = new Gauge('latency_after_to_before');
const strange = new Counter('strange_answers');

export const options = {
  scenarios: {
    before: Object.assign({ tags: { phase: 'before' } }, crowd),
    overload: {
      executor: 'ramping-arrival-rate',
      startTime: overloadBegins + 's',
      startRate: capacity,
      timeUnit: '1s',
      stages: [
        { target: peak, duration: ramp + 's' },
        { target: peak, duration: plateau + 's' },
        { target: capacity, duration: ramp + 's' },
      ],
      preAllocatedVUs: vus,
      maxVUs: vus,
      gracefulStop: rest + 's',
      tags: { phase: 'overload' },
    },
    after: Object.assign({ startTime: afterBegins + 's', tags: { phase: 'after' } }, crowd),
    goodput: Object.assign({ exec: 'measureGoodput' }, watching),
    latency: Object.assign({ exec: 'measureLatency' }, watching),
    probes: { executor: 'constant-arrival-rate', exec: 'probe', rate: 4, duration: ends + 's', preAllocatedVUs: 4, maxVUs: 40 },
  },
  summaryTrendStats: ['med', 'p(95)', 'p(99)', 'max'],
  thresholds: {
    checks: ['rate==1'],
    strange_answers: ['count==0'],
    goodput_kept: ['value>=0.85'],
    latency_after_to_before: ['value<=2'],
    'http_req_duration{phase:overload,status:201}': ['p(95)<=500'],
    'http_req_duration{phase:overload,status:503}': ['p(95)<=100'],
    'http_req_duration{name:alive}': ['max<=250'],
    'http_req_duration{name:availability}': ['max<=1000'],
    // Shown, not judged: what was really offered, and answered.
    'http_reqs{phase:overload}': ['count>0'],
    'http_reqs{phase:overload,status:201}': ['count>0'],
    'http_reqs{phase:overload,status:503}': ['count>=0'],
  },
};

export function setup() {
  return {
    hot: makeEvent({ totalQuota: 10000000, maxPurchaseLimit: 4 }),
    other: makeEvent({ totalQuota: 1000, maxPurchaseLimit: 4 }),
  };
}

/** @typedef {{ hot: string, other: string }} Events */

/** @param {Events} events */
export default function (events) {
  const answer = buy(events.hot, 1, newKey());
  if (isInOrder(answer)) return;
  strange.add(1, { status: String(answer.status) });
  // A few words are enough: at ten times the load everything goes wrong thousands of times.
  if (exec.scenario.iterationInTest % 1000 === 0) console.warn('strange: ' + answer.status + ' ' + answer.error + ' ' + answer.body);
}

/** Bought; or refused before it began, with the time to try again. @param {import('k6/http').Response} answer */
function isInOrder(answer) {
  if (answer.status === 201 || answer.status === 409) return true;
  if (answer.headers['Retry-After'] === undefined) return false;
  return answer.status === 429 || (answer.status === 503 && String(answer.body).indexOf('"overloaded"') > 0);
}

/** Somebody else's event can be looked at, and the replica says that it lives, all the time. @param {Events} events */
export function probe(events) {
  check(isAlive(), { 'the probe is answered': (answer) => answer.status === 200 });
  check(readAvailability(events.other), { 'another event is shown': (answer) => answer.status === 200 });
}

/** By what is left of the quota: what was sold in the plateau, against what was sold before. @param {Events} events */
export function measureGoodput(events) {
  const look = () => ({ left: Number(readAvailability(events.hot).json('available_quantity')), atMs: Date.now() });
  /** @param {number} begin @param {number} end */
  const soldPerSecond = (begin, end) => {
    sleepUntil(begin);
    const first = look();
    sleepUntil(end);
    const last = look();
    return ((first.left - last.left) * 1000) / (last.atMs - first.atMs);
  };
  const before = soldPerSecond(calm / 2, calm);
  const under = soldPerSecond(plateauBegins, plateauEnds);
  console.log('sold before ' + Math.round(before) + '/s, in the plateau ' + Math.round(under) + '/s of ' + peak + '/s that were to arrive');
  if (peak < 2 * before) console.warn('that was no overload: set CAPACITY to what was sold before');
  goodputKept.add(under / before);
}

/** One buyer who waits, again and again: the p95 after the load against before it. @param {Events} events */
export function measureLatency(events) {
  /** @param {number} begin @param {number} end */
  const latency = (begin, end) => {
    sleepUntil(begin);
    const taken = [];
    while (elapsed() < end) {
      taken.push(buy(events.hot, 1, newKey()).timings.duration);
      sleep(0.05);
    }
    return percentile(taken, 0.95);
  };
  const before = latency(calm / 2, calm);
  const after = latency(afterBegins, ends);
  console.log('one buyer, p95: before ' + before.toFixed(1) + ' ms, after ' + after.toFixed(1) + ' ms');
  latencyAfter.add(after / before);
}

/** Seconds since the scenarios began. */
function elapsed() {
  return (Date.now() - exec.scenario.startTime) / 1000;
}

/** @param {number} second */
function sleepUntil(second) {
  sleep(Math.max(0, second - elapsed()));
}

/** @param {Events} events */
export function teardown(events) {
  audit(events.hot);
  audit(events.other, { 'nothing of the other event was sold': (books) => books.sold_quantity === 0 });
}
