// @ts-check
/**
 * A flash sale to watch: `npm run demo`. Two thousand buyers want more tickets than there are; every tenth presses the button
 * twice. At the end the audit counts everything from the rows, and every buyer's answer is compared with it.
 *
 * It starts a server with a database of its own and removes both, or uses the one of BASE_URL with ADMIN_TOKEN.
 */
import { spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once, setMaxListeners } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const checkout = fileURLToPath(new URL('..', import.meta.url));
const buyers = 2_000;
const quota = 1_500;
const perPurchaseMax = 2;
/** Buyers arrive within this time. */
const arrivalMs = 8_000;
/** After this time a buyer who was sent away gives up. */
const patienceMs = 15_000;
const startTimeoutMs = 30_000;
const answerTimeoutMs = 10_000;
/** Below the limits of file descriptors and of one address. */
const connectionsMax = 250;

const forPeople = process.stdout.isTTY;
const say = (/** @type {string} */ line) => process.stdout.write(`${line}\n`);

class DemoError extends Error {}
class Stopped extends Error {}

/** @typedef {{ status: number, body: any, retryAfterMs: number }} Answer @typedef {{ address: string, token: string, stop: () => Promise<void> }} Server */

const tally = { arrived: 0, bought: 0, soldOut: 0, gaveUp: 0, tickets: 0, doubles: 0, waits: 0 };
/** Broken promises, which must not be. @type {string[]} */
const wrong = [];

class Client {
  #agent;
  #send;

  /** @param {string} address @param {AbortSignal} signal */
  constructor(address, signal) {
    this.address = address;
    this.signal = signal;
    const secure = address.startsWith('https:');
    this.#agent = new (secure ? HttpsAgent : HttpAgent)({ keepAlive: true, maxSockets: connectionsMax });
    this.#send = secure ? httpsRequest : httpRequest;
  }

  /**
   * @param {string} method @param {string} path @param {unknown} [json] @param {Record<string, string>} [headers]
   * @returns {Promise<Answer>}
   */
  async call(method, path, json, headers = {}) {
    const options = {
      method,
      agent: this.#agent,
      signal: AbortSignal.any([this.signal, AbortSignal.timeout(answerTimeoutMs)]),
      headers: { ...(json === undefined ? {} : { 'Content-Type': 'application/json' }), ...headers },
    };
    const request = this.#send(new URL(path, this.address), options);
    request.end(json === undefined ? undefined : JSON.stringify(json));
    const [response] = /** @type {[import('node:http').IncomingMessage]} */ (await once(request, 'response'));
    let text = '';
    for await (const chunk of response.setEncoding('utf8')) text += chunk;
    const retryAfterMs = Number(response.headers['retry-after'] ?? 1) * 1_000;
    return {
      status: response.statusCode ?? 0,
      body: /json/.test(response.headers['content-type'] ?? '') ? JSON.parse(text) : {},
      retryAfterMs,
    };
  }

  close() {
    this.#agent.destroy();
  }
}

/** A buyer: looks, buys, and repeats with the same key what was not answered. @param {Client} client @param {string} eventId @param {number} number */
async function buy(client, eventId, number) {
  await pause(arrivalMs * Math.random(), undefined, { signal: client.signal });
  tally.arrived += 1;
  const [key, quantity, deadline] = [randomUUID(), 1 + (number % perPurchaseMax), Date.now() + patienceMs];
  const send = () => client.call('POST', `/events/${eventId}/purchases`, { quantity }, { 'Idempotency-Key': key }).catch(() => undefined);
  for (;;) {
    const twice = number % 10 === 0;
    const answers = await Promise.all(twice ? [send(), send()] : [send()]);
    client.signal.throwIfAborted();
    const granted = answers.filter((answer) => answer?.status === 201 || answer?.status === 200);
    if (new Set(granted.map((answer) => answer?.body.id)).size > 1) wrong.push(`one key bought ${granted.length} purchases`);
    if (granted[0]) {
      if (granted.length === 2) tally.doubles += 1;
      tally.bought += 1;
      tally.tickets += granted[0].body.tickets.length;
      return;
    }
    const refusal = answers.find((answer) => answer?.status === 409);
    if (refusal) {
      tally.soldOut += 1;
      return;
    }
    const other = answers.find((answer) => answer !== undefined && answer.status < 500 && answer.status !== 429);
    if (other) throw new DemoError(`A purchase was refused (${other.status}): ${other.body.detail ?? other.body.title}`);
    if (Date.now() > deadline) {
      tally.gaveUp += 1;
      return;
    }
    tally.waits += 1;
    await pause(answers[0]?.retryAfterMs ?? 500, undefined, { signal: client.signal });
  }
}

/** @param {number} startedAtMs */
function progressLine(startedAtMs) {
  const share = Math.min(1, tally.tickets / quota);
  const bar = '█'.repeat(Math.round(share * 30)).padEnd(30, '░');
  const seconds = ((performance.now() - startedAtMs) / 1_000).toFixed(1).padStart(4);
  return (
    `${seconds} s  ${bar} ${String(tally.tickets).padStart(5)} of ${quota} tickets   ` +
    `buyers: ${tally.arrived} arrived, ${tally.bought} bought, ${tally.soldOut} too late`
  );
}

/** Shows the progress until the work ends: in a terminal on one line, elsewhere a line every two seconds. @param {Promise<unknown>} work */
async function showing(work) {
  const startedAtMs = performance.now();
  const show = () => {
    const line = progressLine(startedAtMs);
    process.stdout.write(forPeople ? `\r\x1b[K${line.slice(0, process.stdout.columns - 1)}` : `${line}\n`);
  };
  const timer = setInterval(show, forPeople ? 100 : 2_000);
  try {
    await work;
  } finally {
    clearInterval(timer);
    show();
    if (forPeople) say('');
  }
}

/** @param {AbortSignal} signal @returns {Promise<Server>} */
async function openServer(signal) {
  const { BASE_URL: address, ADMIN_TOKEN: token } = process.env;
  if (address) {
    if (!token) throw new DemoError('Set ADMIN_TOKEN to the admin token of the server at BASE_URL.');
    return { address, token, stop: async () => undefined };
  }
  return startServer(signal);
}

/** A server on a free port, with a database in a temporary directory. @param {AbortSignal} signal @returns {Promise<Server>} */
async function startServer(signal) {
  say('Starting a server with a database of its own …');
  const dataDir = await mkdtemp(join(tmpdir(), 'onsale-demo-'));
  const token = randomBytes(24).toString('base64url');
  // Settings of the shell, such as those of buyers' tokens, are for other servers.
  const env = { PATH: process.env['PATH'], ADMIN_TOKEN: token, EMBEDDED_DATA_DIR: dataDir, HOST: '127.0.0.1', PORT: '0' };
  // In a process group of its own: a Ctrl-C reaches this process, which stops the server in order.
  const child = spawn(process.execPath, ['dist/server.js'], { cwd: checkout, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const exited = once(child, 'exit');
  process.once('exit', () => child.kill('SIGKILL'));
  const stop = async () => {
    child.kill('SIGTERM');
    await exited;
    await rm(dataDir, { recursive: true, force: true });
  };
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)));
  try {
    for (const deadline = Date.now() + startTimeoutMs; ;) {
      const [, address] = /onsale is on (http:[^\s,]+)/.exec(output) ?? [];
      if (address !== undefined) return { address, token, stop };
      if (child.exitCode !== null) throw new DemoError(output.trim());
      if (Date.now() > deadline) throw new DemoError('The server did not start in time.');
      await pause(50, undefined, { signal });
    }
  } catch (error) {
    await stop();
    throw error;
  }
}

/** @param {Server} server @param {AbortSignal} signal */
async function perform({ address, token }, signal) {
  const client = new Client(address, signal);
  const headers = { Authorization: `Bearer ${token}` };
  try {
    const event = { name: 'Demo', total_quota: quota, max_purchase_limit: perPurchaseMax };
    const made = await client.call('POST', '/admin/events', event, headers).catch((error) => {
      throw signal.aborted ? signal.reason : new DemoError(`There is no server at ${address}: ${error.message}.`);
    });
    if (made.status !== 201) throw new DemoError(`The event was not created (${made.status}): ${made.body.detail ?? made.body.title}`);
    say(`\n${quota} tickets, ${buyers} buyers who want 1 or ${perPurchaseMax} each; every tenth presses the button twice.\n`);
    await showing(Promise.all(Array.from({ length: buyers }, (_, number) => buy(client, made.body.id, number))));
    const { body: audit } = await client.call('GET', `/admin/events/${made.body.id}/audit`, undefined, headers);
    return report(audit, address, made.body.id);
  } finally {
    client.close();
  }
}

/** @param {any} audit @param {string} address @param {string} eventId @returns {boolean} whether everything is right */
function report(audit, address, eventId) {
  if (audit.sold_quantity !== tally.tickets) wrong.push(`buyers got ${tally.tickets} tickets, and ${audit.sold_quantity} are sold`);
  if (audit.consistent !== true) wrong.push('the audit is not consistent');
  const twice = `${tally.doubles} pressed twice and bought once`;
  const later = tally.waits === 0 ? '' : `, ${tally.waits} times a buyer was asked to come back`;
  const gaveUp = tally.gaveUp === 0 ? '' : `, ${tally.gaveUp} gave up`;
  say(`
${tally.bought} buyers bought ${tally.tickets} tickets (${twice}), ${tally.soldOut} were too late${later}${gaveUp}.

The audit, counted from the rows (GET ${address}/admin/events/${eventId}/audit):
  quota ${audit.total_quota} = sold ${audit.sold_quantity} + held ${audit.held_quantity} + available ${audit.available_quantity}
  tickets issued ${audit.tickets_issued}
  consistent ${audit.consistent}

${wrong.length === 0 ? 'No ticket was sold twice, and every answer agrees with the database.' : `Wrong: ${wrong.join('; ')}.`}`);
  return wrong.length === 0;
}

async function main() {
  const stopping = new AbortController();
  setMaxListeners(0, stopping.signal); // of two thousand buyers
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.on(signal, () => stopping.abort(new Stopped()));
  const server = await openServer(stopping.signal);
  try {
    return await perform(server, stopping.signal);
  } catch (error) {
    throw stopping.signal.aborted ? stopping.signal.reason : error;
  } finally {
    await server.stop();
  }
}

main().then(
  (right) => process.exit(right ? 0 : 1),
  (error) => {
    const stopped = error instanceof Stopped || error.name === 'AbortError';
    process.stderr.write(stopped ? 'The demo was stopped.\n' : `${error instanceof DemoError ? error.message : error.stack}\n`);
    process.exit(stopped ? 130 : 1);
  },
);
