/**
 * The process: config → database → replica → listen. On SIGTERM, SIGINT or SIGHUP it stops, drains and closes; if it is still
 * starting, it ends what it has started. The server on OPERATIONS_PORT answers until the process exits, so that probes see a
 * process that is alive and not ready. With the argument `migrate` it migrates the database of DATABASE_URL and exits.
 */
import type { Server } from 'node:http';
import type { Server as Acceptor } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { watchDatabase } from './background/databaseWatch.js';
import { type Config, ConfigError, readConfig, readMigrationUrl } from './config.js';
import { type Embedded, startEmbedded } from './db/embedded/embedded.js';
import { adminTokenFile, EmbeddedError, keepSecret } from './db/embedded/dataDir.js';
import { orFullDisk } from './db/embedded/fullDisk.js';
import { migrate } from './db/migrate.js';
import { explain, StartError, targetOf } from './db/startFaults.js';
import { createStartWait } from './db/startWait.js';
import { greeting } from './greeting.js';
import { addAcceptors } from './http/server/acceptors.js';
import { drain } from './http/server/drain.js';
import { createReplica, type Replica } from './replica.js';
import { Interrupted, unlessAsked, watchSignals } from './signals.js';
import { reportStop } from './stopping.js';

interface Database {
  readonly url: string;
  readonly adminToken: string;
  readonly embedded: Embedded | undefined;
}

/** The kernel queues connections that arrive faster than they are accepted. When a sale opens, thousands arrive at once. */
const backlog = 4_096;
/**
 * Acceptors in addition to the server itself. A single connection wakes all of them, which takes 0.2 ms of an idle processor; when
 * many arrive together, each acceptor takes one. Under full load, 1,000 simultaneous connections were answered within 5 s without
 * extra acceptors (after the load had ended) and 0.7 s with 31; a probe that arrived with 4,000 connections was answered within 0.8 s
 * with 31, and 0.3 s with 127.
 */
const extraAcceptors = 63;

const say = (line: string) => process.stdout.write(`${line}\n`);

async function main(): Promise<void> {
  const [command, ...rest] = process.argv.slice(2);
  if (rest.length > 0 || (command !== undefined && command !== 'migrate')) throw new ConfigError('The only argument is "migrate".');
  if (command === 'migrate') {
    await migrateOnly(readMigrationUrl());
    return;
  }
  const config = readConfig();
  const stopping = watchSignals(() => process.exit(1)); // first, so that a signal ends everything that is started from here on
  const database = await openDatabase(config, stopping);
  const replica = createReplica(config, database.url, database.adminToken);
  database.embedded?.keepRunning(replica.log, stopping);
  const forPeople = database.embedded !== undefined || process.stdout.isTTY;
  const wait = createStartWait(database.url, 'serve', (reason) => {
    if (forPeople) say(`Waiting for the database. ${reason}`);
    else replica.log.warn({ reason }, 'waiting for the database');
  });
  try {
    const usable = database.embedded !== undefined || (await unlessAsked(stopping, wait.isUsable()));
    if (usable) await unlessAsked(stopping, untilDatabaseAnswers(replica)); // before the greeting, so that its commands work at once
    const server = await listen(replica.createServer, config, 'PORT');
    const acceptors = accept(server, replica);
    const drained = async (cutOffMs: number) => drain(server, cutOffMs, replica.unanswered, await acceptors);
    onStop(stopping, drained, config, replica, database.embedded);
    const operations =
      config.OPERATIONS_PORT === undefined ? undefined : await listen(replica.createOperationsServer, config, 'OPERATIONS_PORT');
    await acceptors;
    const at = { address: addressOf(server), operations: operations && addressOf(operations) };
    if (!forPeople) replica.log.info({ address: at.address, operations_address: at.operations, who_may: replica.whoMay }, 'listening');
    if (!usable) await wait.untilUsable();
    await untilReady(replica);
    if (forPeople) greet(at, config, database, replica.whoMay);
    else if (!usable) replica.log.info('ready');
    watchDatabase(replica.readiness, replica.log, stopping);
  } catch (error) {
    await replica.close();
    await database.embedded?.stop();
    throw error;
  }
}

function greet(at: { address: string; operations: string | undefined }, config: Config, database: Database, whoMay: string): void {
  const addresses = at.operations === undefined ? [] : [`Its probes and metrics are on ${at.operations}`];
  const where = database.embedded?.dataDir ?? 'the database of DATABASE_URL';
  const generatedToken = config.ADMIN_TOKEN === undefined ? database.adminToken : undefined;
  say(greeting({ address: at.address, documented: config.DOCS === 'on', addresses, where, generatedToken, whoMay }));
}

/** A job that waits for ever would block a deployment without failing it. */
const migrationWaitMaxMs = 60_000;

async function migrateOnly(url: string): Promise<void> {
  const wait = createStartWait(url, 'migrate', (reason) => {
    say(`Waiting for the database. ${reason}`);
  });
  await wait.untilUsable(migrationWaitMaxMs);
  const applied = await migrate(url).catch((error: unknown) => {
    throw new StartError(`The migration failed and changed nothing. ${explain(error, targetOf(url)).sentence}`);
  });
  say(applied.length > 0 ? `Applied ${applied.join(', ')}.` : 'The database is up to date.');
}

async function openDatabase(config: Config, stopping: AbortSignal): Promise<Database> {
  if (config.DATABASE_URL !== undefined) {
    return { url: config.DATABASE_URL, adminToken: config.ADMIN_TOKEN ?? '', embedded: undefined };
  }
  const embedded = await startEmbedded({ dataDir: config.EMBEDDED_DATA_DIR, signal: stopping });
  try {
    await unlessAsked(stopping, migrate(embedded.url));
    return { url: embedded.url, adminToken: config.ADMIN_TOKEN ?? keepSecret(embedded.dataDir, adminTokenFile), embedded };
  } catch (error) {
    await embedded.stop();
    throw orFullDisk(error, embedded.dataDir);
  }
}

/** @param variable the setting that names the port */
async function listen(create: Replica['createServer'], config: Config, variable: 'PORT' | 'OPERATIONS_PORT'): Promise<Server> {
  const port = config[variable];
  const server = create({
    requestTimeout: config.REQUEST_TIMEOUT_MS,
    headersTimeout: config.REQUEST_TIMEOUT_MS,
    keepAliveTimeout: config.KEEP_ALIVE_TIMEOUT_MS,
    connectionsCheckingInterval: 1_000,
  });
  server.timeout = config.SOCKET_TIMEOUT_MS;
  const host = config.HOST ?? (config.DATABASE_URL === undefined ? '127.0.0.1' : '0.0.0.0');
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE' ? `it is in use; choose another with ${variable}` : error.message;
      reject(new ConfigError(`Cannot listen on ${host} port ${String(port)}: ${taken}.`));
    });
    server.listen({ port, host, backlog }, () => {
      resolve(server);
    });
  });
}

async function accept(server: Server, { log }: Replica): Promise<Acceptor[]> {
  try {
    return await addAcceptors(server, extraAcceptors, backlog);
  } catch (error) {
    log.warn({ err: error }, 'new connections will be accepted slowly under load');
    return [];
  }
}

function addressOf(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === 'string') return String(address);
  const host = ['0.0.0.0', '::'].includes(address.address) ? 'localhost' : address.address;
  return `http://${host.includes(':') ? `[${host}]` : host}:${String(address.port)}`;
}

/** Opening the first connections may take longer than one readiness check waits. */
async function untilDatabaseAnswers({ readiness }: Replica): Promise<void> {
  for (let attempt = 0; attempt < 10; attempt += 1) {
    const state = await readiness.check();
    if (state.ready || readiness.schemaKnown()) return;
  }
}

/** The database is usable, but the pool may still need a moment for it. */
async function untilReady({ readiness }: Replica): Promise<void> {
  while (!(await readiness.check()).ready) await pause(500, undefined, { ref: false });
}

function onStop(
  stopping: AbortSignal,
  drained: (cutOffMs: number) => Promise<void>,
  config: Config,
  replica: Replica,
  embedded: Embedded | undefined,
): void {
  const stop = async (): Promise<void> => {
    replica.readiness.drain();
    // A request that is still arriving is complete by the request timeout, and then answered by the purchase deadline.
    const times = { listensForMs: config.DRAIN_DELAY_MS, answersForMs: config.REQUEST_TIMEOUT_MS + config.PURCHASE_DEADLINE_MS };
    const report = reportStop(replica, times, (details, sentence) => {
      if (embedded) say(sentence);
      else replica.log.info(details, sentence);
    });
    await pause(times.listensForMs);
    await drained(times.answersForMs);
    await replica.close();
    await embedded?.stop();
    report.ended();
    process.exit(0);
  };
  if (stopping.aborted) stop().catch(fail);
  else stopping.addEventListener('abort', () => void stop().catch(fail));
}

function fail(error: unknown): never {
  if (error instanceof Interrupted) {
    say(error.message);
    process.exit(0);
  }
  const known = error instanceof ConfigError || error instanceof EmbeddedError || error instanceof StartError;
  process.stderr.write(
    known ? `${error.message}\n` : `onsale stopped: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  process.exit(1);
}

process.on('uncaughtException', fail);
main().catch(fail);
