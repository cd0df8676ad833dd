/** A Postgres of a test's own, as a process that can be stopped, killed, starved, copied and promoted. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, closeSync, mkdtempSync, openSync, readdirSync, readFileSync, chownSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { type Account, locateBinaries, unprivilegedAccount } from '../../src/db/embedded/dataDir.js';

/** As pg_ctl calls them. `immediate` is a crash: no checkpoint, no goodbye, recovery at the next start. */
const stopSignals = { fast: 'SIGINT', immediate: 'SIGQUIT' } as const;
const startTimeoutMs = 60_000;
const stopTimeoutMs = 30_000;

const settings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: 150,
  shared_buffers: '64MB',
  max_wal_size: '1GB',
  jit: 'off',
  timezone: 'UTC',
  log_min_messages: 'fatal',
};

const account: Account | undefined = process.getuid?.() === 0 ? unprivilegedAccount() : undefined;

function environment(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error('these tests run by way of "npm run test:faults", which makes their Postgres');
  return value;
}

export class Postgres {
  #process: ChildProcess | undefined;
  readonly #flags: string[];

  private constructor(
    readonly cluster: string,
    readonly port: number,
    own: Readonly<Record<string, string | number>>,
  ) {
    this.#flags = Object.entries({ ...settings, ...own, port }).flatMap(([name, value]) => ['-c', `${name}=${String(value)}`]);
  }

  /** A copy of the template, or of another that is stopped; not yet started. */
  static async copy(own: Readonly<Record<string, string | number>> = {}, from?: Postgres): Promise<Postgres> {
    const base = environment('FAULT_DIR');
    const dir = mkdtempSync(join(base, 'postgres-'));
    if (account) chownSync(dir, account.uid, account.gid);
    const cluster = join(dir, 'cluster');
    const copied = spawnSync('cp', ['-Rp', from?.cluster ?? join(base, 'cluster'), cluster], { ...account, encoding: 'utf8' });
    if (copied.status !== 0) throw new Error(`the cluster was not copied: ${copied.stderr}`);
    return new Postgres(cluster, await freePort(), own);
  }

  /** @param port of a proxy before it */
  url(port = this.port): string {
    const url = new URL(environment('FAULT_DATABASE_URL'));
    url.port = String(port);
    return url.href;
  }

  get pid(): number {
    return this.#process!.pid!;
  }

  get running(): boolean {
    return this.#process?.exitCode === null && this.#process.signalCode === null;
  }

  /** Resolves when it answers; a crash before is made good first. */
  async start(): Promise<void> {
    const log = openSync(join(this.cluster, '..', 'postgres.log'), 'a', 0o600);
    this.#process = spawn(join(locateBinaries(account), 'postgres'), ['-D', this.cluster, ...this.#flags], {
      ...account,
      cwd: this.cluster,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    const deadline = Date.now() + startTimeoutMs;
    for (;;) {
      try {
        await this.query('SELECT 1');
        return;
      } catch (error) {
        if (!this.running || Date.now() > deadline) {
          throw new Error(`Postgres did not start: ${readFileSync(join(this.cluster, '..', 'postgres.log'), 'utf8').slice(-2_000)}`, {
            cause: error,
          });
        }
      }
      await pause(20);
    }
  }

  async stop(how: keyof typeof stopSignals = 'fast'): Promise<void> {
    const server = this.#process;
    if (!server || !this.running) return;
    const exited = once(server, 'exit');
    server.kill(stopSignals[how]);
    const timer = setTimeout(() => server.kill('SIGKILL'), stopTimeoutMs);
    await exited;
    clearTimeout(timer);
  }

  /** The whole node stands still, as a virtual machine does that is paused: its sessions stay open, and nothing answers. */
  freeze(): void {
    // The parent first: it starts nobody from then on.
    for (const pid of [this.pid, ...this.#children()]) process.kill(pid, 'SIGSTOP');
  }

  thaw(): void {
    for (const pid of [...this.#children(), this.pid]) process.kill(pid, 'SIGCONT');
  }

  /** A session past every proxy. @throws whatever the database throws */
  async session<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = new pg.Client({ connectionString: this.url(), application_name: 'faults', connectionTimeoutMillis: 5_000 });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  query<R extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<R[]> {
    return this.session(async (client) => (await client.query<R>(text, [...values])).rows);
  }

  /** From the next start on: follows `primary`, and can be promoted. */
  follow(primary: Postgres): void {
    const { username, password } = new URL(primary.url());
    const conninfo = `host=127.0.0.1 port=${String(primary.port)} user=${username} password=${password} application_name=standby`;
    appendFileSync(join(this.cluster, 'postgresql.auto.conf'), `primary_conninfo = '${conninfo}'\n`);
    appendFileSync(join(this.cluster, 'standby.signal'), '');
  }

  /**
   * Lets no file grow past that number of bytes; undefined lifts the limit. Done as the account that Postgres runs as, which may
   * limit its own processes without any privilege.
   */
  limitFiles(bytes: number | undefined): void {
    const limit = (pid: number) =>
      spawnSync('prlimit', ['--pid', String(pid), `--fsize=${bytes === undefined ? 'unlimited' : String(bytes)}:`], { ...account });
    // The parent first: whom it forks from then on inherits the limit, and who is there already is on the list.
    const { status, stderr } = limit(this.pid);
    if (status !== 0) throw new Error(`prlimit: ${String(stderr)}`);
    for (const pid of this.#children()) limit(pid);
  }

  #children(): number[] {
    const parentOf = (id: string) => {
      try {
        return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${id}/status`, 'utf8'))?.[1]);
      } catch {
        return undefined; // it ended meanwhile
      }
    };
    return readdirSync('/proc')
      .filter((id) => /^\d+$/.test(id) && parentOf(id) === this.pid)
      .map(Number);
  }
}

export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  await new Promise((closed) => probe.close(closed));
  return port;
}
