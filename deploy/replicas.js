// @ts-check
/**
 * Several replicas on one machine and one database, behind HAProxy where there is one: `npm run replicas -- 3`.
 *
 * The database is the embedded one, or that of DATABASE_URL. A replica that ends unasked is started again, as compose and
 * Kubernetes do. Ctrl-C stops everything in order: the balancer takes no more requests and answers those it has, then the
 * replicas drain, then Postgres stops.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { ConfigError, readConfig } from '../dist/config.js';
import { startEmbedded } from '../dist/db/embedded/embedded.js';
import { adminTokenFile, EmbeddedError, keepSecret } from '../dist/db/embedded/dataDir.js';
import { orFullDisk } from '../dist/db/embedded/fullDisk.js';
import { migrate } from '../dist/db/migrate.js';
import { StartError } from '../dist/db/startFaults.js';
import { createStartWait } from '../dist/db/startWait.js';
import { greeting } from '../dist/greeting.js';
import { whoMay } from '../dist/http/middleware/callers.js';
import { Interrupted, unlessAsked, watchSignals } from '../dist/signals.js';
import { Balancer, BalancerError, haproxyVersion, replicasMax } from './balancer.js';
import { Replica } from './replica.js';

/** Two failed checks of HAProxy and their time limits, so that a replica that drains is out before it closes anything. */
const drainDelayMs = 3_000;
/** Between two attempts to start a replica that ends as soon as it has begun. */
const restartPauseMs = 2_000;
const connectionsForPeople = 20;

const say = (/** @type {string} */ line) => process.stdout.write(`${line}\n`);

class UsageError extends Error {}

/** @param {string[]} args */
function countIn(args) {
  const [given = '3', ...rest] = args;
  const count = Number(given);
  if (rest.length > 0 || !/^\d+$/.test(given) || count < 1 || count > replicasMax)
    throw new UsageError(`How many replicas? One number from 1 to ${replicasMax}, such as: npm run replicas -- 3`);
  return count;
}

/** @param {ReturnType<typeof readConfig>} config @param {number} count @param {AbortSignal} signal */
async function openDatabase(config, count, signal) {
  if (config.DATABASE_URL !== undefined) {
    const wait = createStartWait(config.DATABASE_URL, 'serve', (/** @type {string} */ reason) =>
      say(`Waiting for the database. ${reason}`),
    );
    await unlessAsked(signal, wait.untilUsable());
    return {
      url: config.DATABASE_URL,
      token: config.ADMIN_TOKEN ?? '',
      where: 'the database of DATABASE_URL',
      stop: async () => undefined,
    };
  }
  const ofOne = config.SALE_CONNECTIONS_MAX + config.READ_CONNECTIONS_MAX + config.ADMIN_CONNECTIONS_MAX + config.EXPORT_CONNECTIONS_MAX;
  const settings = { max_connections: Math.max(100, count * ofOne + connectionsForPeople) };
  const embedded = await startEmbedded({ dataDir: config.EMBEDDED_DATA_DIR, settings, signal });
  try {
    await unlessAsked(signal, migrate(embedded.url));
    const token = config.ADMIN_TOKEN ?? keepSecret(embedded.dataDir, adminTokenFile);
    return { url: embedded.url, token, where: embedded.dataDir, stop: () => embedded.stop() };
  } catch (error) {
    await embedded.stop();
    throw orFullDisk(error, embedded.dataDir);
  }
}

/** Everything that runs, and the order in which it is stopped. */
class Company {
  /** By slot, from 1. @type {Map<number, Replica>} */
  replicas = new Map();
  stopping = false;

  /** @type {Balancer | undefined} */
  balancer;

  /** @param {Record<string, string>} env of the replicas */
  constructor(env) {
    this.env = env;
  }

  /** @param {string} bind */
  async openBalancer(bind) {
    this.balancer = await Balancer.start({ bind, say: (line) => say(`balancer: ${line}`) });
    this.env = { DRAIN_DELAY_MS: String(drainDelayMs), TRUST_PROXY_HOPS: '1', ...this.env };
  }

  /** Never resolves. @throws when it ends unasked, for its address is gone with it @returns {Promise<never>} */
  async watchBalancer() {
    await this.balancer?.ended;
    if (this.balancer && !this.stopping) throw new Error('HAProxy ended, and with it the address');
    return new Promise(() => undefined);
  }

  /** @param {number} slot @returns {Promise<string>} its address */
  async start(slot) {
    const [http = 0, operations = 0] = await freePorts(2);
    if (this.stopping) throw new Error('everything is being stopped');
    const replica = new Replica(`replica ${slot}`, { http, operations }, this.env, say);
    this.replicas.set(slot, replica);
    const address = await replica.untilReady();
    await this.balancer?.add(slot, address, replica.operationsAddress);
    return address;
  }

  /** Starts it again whenever it ends, until all are stopped. @param {number} slot */
  async watch(slot) {
    for (;;) {
      const replica = this.replicas.get(slot);
      await replica?.ended;
      if (this.stopping || !replica) return;
      say(`${replica.name} (process ${replica.pid}) ended ${replica.fate}; another is started.`);
      try {
        await this.balancer?.remove(slot);
        const address = await this.start(slot);
        say(`${replica.name} is back: ${address}, process ${this.replicas.get(slot)?.pid}.`);
      } catch (error) {
        if (this.stopping) return;
        say(`${replica.name} was not started: ${messageOf(error)}.`);
        await this.replicas.get(slot)?.stop();
        await pause(restartPauseMs);
      }
    }
  }

  async stop() {
    this.stopping = true;
    await this.balancer?.stop();
    await Promise.all([...this.replicas.values()].map((replica) => replica.stop()));
  }

  /** For a second Ctrl-C, and for an unexpected end. */
  kill() {
    this.stopping = true;
    this.balancer?.kill();
    for (const replica of this.replicas.values()) replica.kill();
  }
}

/** Different ones: all are taken before the first is given back. @param {number} count @returns {Promise<number[]>} */
async function freePorts(count) {
  const probes = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(probes.map((probe) => once(probe, 'listening')));
  const ports = probes.map((probe) => /** @type {import('node:net').AddressInfo} */ (probe.address()).port);
  await Promise.all(probes.map((probe) => new Promise((resolve) => probe.close(resolve))));
  return ports;
}

/** @param {unknown} error */
const messageOf = (error) => (error instanceof Error ? error.message : String(error));

async function main() {
  const count = countIn(process.argv.slice(2));
  const config = readConfig();
  const asked = watchSignals(() => process.exit(1)); // first of all: everything started from here on is ended
  const host = config.HOST ?? (config.DATABASE_URL === undefined ? '127.0.0.1' : '0.0.0.0');
  const bind = `${host.includes(':') ? `[${host}]` : host}:${config.PORT || (await freePorts(1))[0]}`;
  const haproxy = haproxyVersion();
  const database = await openDatabase(config, count, asked);
  const company = new Company({ DATABASE_URL: database.url, ADMIN_TOKEN: database.token });
  process.on('exit', () => company.kill()); // in any case: no process is left behind
  const end = untilAsked(company, asked);
  try {
    if (haproxy !== undefined) await company.openBalancer(bind);
    const slots = Array.from({ length: count }, (_, index) => index + 1);
    const addresses = await Promise.all(slots.map((slot) => company.start(slot)));
    const who = whoMay(config.SELLER_TOKEN !== undefined, config.BUYER_JWT_ISSUER);
    const about = { bind, haproxy, documented: config.DOCS === 'on', tokenMade: config.ADMIN_TOKEN === undefined, who };
    greet(company, addresses, { ...database, ...about });
    await Promise.race([end, ...slots.map((slot) => company.watch(slot)), company.watchBalancer()]);
    await end;
  } catch (error) {
    if (!company.stopping) throw error; // else it was not started because it was stopped
  } finally {
    await company.stop();
    await database.stop();
  }
}

/** @param {Company} company @param {string[]} own addresses of the replicas @param {{ bind: string, haproxy: string | undefined, documented: boolean, token: string, tokenMade: boolean, where: string, who: string }} about */
function greet(company, own, { bind, haproxy, documented, token, tokenMade, where, who }) {
  const replicas = own.map((address, index) => {
    const replica = company.replicas.get(index + 1);
    return `  ${address}  replica ${index + 1}, process ${replica?.pid}, its probes and metrics on ${replica?.operationsAddress}`;
  });
  const shared = `http://${bind.replace('0.0.0.0', 'localhost')}`;
  const before =
    haproxy === undefined
      ? `There is no haproxy on PATH (apt-get install haproxy), so each of the ${own.length} replicas has its own address:`
      : `HAProxy ${haproxy}, process ${company.balancer?.pid}, distributes requests among ${own.length} replicas:`;
  const about = { documented, where, generatedToken: tokenMade ? token : undefined, whoMay: who };
  say(greeting({ ...about, address: haproxy === undefined ? (own[0] ?? '') : shared, addresses: [before, ...replicas] }));
  say('Ctrl-C stops all of it.\n');
}

/** Resolves at Ctrl-C or SIGTERM. @param {Company} company @param {AbortSignal} asked @returns {Promise<void>} */
function untilAsked(company, asked) {
  return new Promise((resolve) => {
    const ask = () => {
      company.stopping = true;
      say('Stopping: what was asked is answered first.');
      resolve();
    };
    if (asked.aborted) ask();
    else asked.addEventListener('abort', ask);
  });
}

/** @param {unknown} error */
function fail(error) {
  if (error instanceof Interrupted) {
    say(error.message);
    process.exit(0);
  }
  const known = [UsageError, ConfigError, EmbeddedError, StartError, BalancerError].some((kind) => error instanceof kind);
  process.stderr.write(`${known ? messageOf(error) : `The replicas stopped: ${messageOf(error)}`}\n`);
  process.exit(1);
}

main().then(() => process.exit(0), fail);
