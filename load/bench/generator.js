// @ts-check
/**
 * Load from another process: wrk where it is installed, else autocannon. Both keep a fixed number of connections busy
 * (a closed loop); the arrival generator sends at a fixed rate whatever the answers do (an open one).
 */
import { execFile, execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';

const here = fileURLToPath(new URL('.', import.meta.url));

/** @returns {string | undefined} the version of wrk, where there is one */
export function wrkVersion() {
  try {
    execFileSync('wrk', ['--version'], { stdio: 'pipe' });
  } catch (error) {
    // wrk prints its version and fails.
    const { stdout } = /** @type {{ stdout?: Buffer }} */ (error);
    return stdout ? /wrk \D*([\d.]+)/.exec(stdout.toString())?.[1] : undefined;
  }
  return undefined;
}

const hasWrk = wrkVersion() !== undefined;

/**
 * @typedef {object} Load
 * @property {string} address http://host:port
 * @property {'purchases' | 'reads' | 'confirms' | 'mix'} kind
 * @property {string[]} args of the script `kind`.lua: event ids; for `mix` an event and the seller's token; for `confirms` the same, and a file of purchase ids
 * @property {number} connections
 * @property {number} seconds
 *
 * @param {Load} load
 * @returns {Promise<{ perSecond: number, refused: number }>} answers per second, and how many were not 2xx
 */
export async function closedLoop(load) {
  return hasWrk ? withWrk(load) : withAutocannon(load);
}

/** @param {Load} load */
async function withWrk({ address, kind, args, connections, seconds }) {
  const options = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '-s', `${here}${kind}.lua`, address, '--', ...args];
  const output = await new Promise((resolve, reject) => {
    execFile('wrk', options, (error, stdout) => (error ? reject(error) : resolve(stdout)));
  });
  const [, perSecond] = /Requests\/sec:\s+([\d.]+)/.exec(output) ?? [];
  const [, refused = '0'] = /Non-2xx or 3xx responses: (\d+)/.exec(output) ?? [];
  const [, ...errors] = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(output) ?? [];
  if (perSecond === undefined || errors.some((count) => count !== '0')) throw new Error(`wrk had errors:\n${output}`);
  return { perSecond: Number(perSecond), refused: Number(refused) };
}

/** @param {Load} load */
async function withAutocannon({ address, kind, args, connections, seconds }) {
  const result = await autocannon({ url: address, connections, duration: seconds, requests: [requestsOf[kind](args)] });
  if (result.errors > 0) throw new Error(`autocannon had ${result.errors} errors`);
  return { perSecond: result.requests.average, refused: result.non2xx };
}

/** @param {string[]} eventIds @returns {() => Partial<import('autocannon').Request>} a purchase of two tickets, with a key of its own */
function purchasesOf(eventIds) {
  let counter = 0;
  const prefix = `bench-${randomUUID()}-`;
  return () => {
    counter += 1;
    const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': `${prefix}${counter}` };
    return { body: '{"quantity":2}', path: `/events/${eventIds[counter % eventIds.length]}/purchases`, headers };
  };
}

/** @param {string} eventId @param {string} token @param {string} id @returns {Partial<import('autocannon').Request>} */
const confirmation = (eventId, token, id) => ({
  path: `/events/${eventId}/purchases/${id}/confirm`,
  headers: { Authorization: `Bearer ${token}` },
});

/** The same as the scripts for wrk. @type {Record<Load['kind'], (args: string[]) => import('autocannon').Request>} */
const requestsOf = {
  reads: ([eventId = '']) => ({ method: 'GET', path: `/events/${eventId}` }),
  purchases: (eventIds) => {
    const next = purchasesOf(eventIds);
    return { method: 'POST', setupRequest: (made) => ({ ...made, ...next() }) };
  },
  confirms: ([eventId = '', token = '', file = '']) => {
    const ids = readFileSync(file, 'utf8').trim().split('\n').values();
    return { method: 'POST', setupRequest: (made) => ({ ...made, ...confirmation(eventId, token, ids.next().value ?? 'none-left') }) };
  },
  mix: ([eventId = '', token = '']) => {
    const next = purchasesOf([eventId]);
    /** @type {string[]} */
    const toConfirm = [];
    let holds = 0;
    return {
      method: 'POST',
      setupRequest: (made) => {
        const id = toConfirm.shift();
        return { ...made, ...(id === undefined ? next() : confirmation(eventId, token, id)) };
      },
      onResponse: (status, body) => {
        if (status !== 201) return;
        holds += 1;
        if (holds % 3 !== 0) toConfirm.push(JSON.parse(body).id);
      },
    };
  },
};

/**
 * Purchases at a fixed rate. Latency counts from the moment that a request was due, so a stall is not forgiven.
 *
 * @param {{ address: string, eventId: string, perSecond: number, seconds: number }} load
 * @returns {Promise<{ statuses: Record<string, number>, p50: number, p95: number, p99: number }>} times in ms
 */
export async function constantArrival({ address, eventId, perSecond, seconds }) {
  const agent = new Agent({ keepAlive: true, maxSockets: 2_000 });
  const prefix = `arrival-${randomUUID()}-`;
  /** @type {Record<string, number>} */
  const statuses = {};
  /** @type {number[]} */
  const latencies = [];
  /** @type {Promise<void>[]} */
  const pending = [];
  const startedAt = performance.now();
  const total = perSecond * seconds;
  while (pending.length < total) {
    const due = Math.min(total, Math.floor(((performance.now() - startedAt) * perSecond) / 1000));
    while (pending.length < due) {
      const dueAt = startedAt + (pending.length * 1000) / perSecond;
      pending.push(
        buy(agent, address, eventId, `${prefix}${pending.length}`).then((status) => {
          statuses[status] = (statuses[status] ?? 0) + 1;
          latencies.push(performance.now() - dueAt);
        }),
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(pending);
  agent.destroy();
  return { statuses, p50: percentile(latencies, 0.5), p95: percentile(latencies, 0.95), p99: percentile(latencies, 0.99) };
}

/**
 * One purchase at a time on an idle system.
 *
 * @param {{ address: string, eventId: string, count: number }} load
 * @returns {Promise<number>} the median latency in ms
 */
export async function oneAtATime({ address, eventId, count }) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const prefix = `idle-${randomUUID()}-`;
  /** @type {number[]} */
  const latencies = [];
  for (let index = 0; index < count; index += 1) {
    const startedAt = performance.now();
    await buy(agent, address, eventId, `${prefix}${index}`);
    latencies.push(performance.now() - startedAt);
  }
  agent.destroy();
  return percentile(latencies, 0.5);
}

/**
 * @param {Agent} agent
 * @param {string} address
 * @param {string} eventId
 * @param {string} key
 * @returns {Promise<number>} the status
 */
function buy(agent, address, eventId, key) {
  return new Promise((resolve, reject) => {
    const headers = { 'Content-Type': 'application/json', 'Content-Length': 14, 'Idempotency-Key': key };
    const sent = request(`${address}/events/${eventId}/purchases`, { method: 'POST', agent, headers }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode ?? 0));
    });
    sent.on('error', reject).end('{"quantity":2}');
  });
}

/**
 * @param {number[]} values
 * @param {number} fraction from 0 to 1
 */
export function percentile(values, fraction) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] ?? NaN;
}
