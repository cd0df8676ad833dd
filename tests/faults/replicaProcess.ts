/** A replica as it runs in earnest: a process of its own, that can be killed and drained. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { adminToken } from '../support/replica.js';

/** The default ladder, shortened, so that a fault is over sooner and more of them fit into a run. */
const shortLadder = {
  CONNECT_TIMEOUT_MS: '400',
  LOCK_TIMEOUT_MS: '300',
  STATEMENT_TIMEOUT_MS: '600',
  TRANSACTION_TIMEOUT_MS: '800',
  CLIENT_DEADLINE_MS: '1000',
  PURCHASE_DEADLINE_MS: '1500',
  REQUEST_TIMEOUT_MS: '4000',
};
const startTimeoutMs = 30_000;
const drainTimeoutMs = 15_000;

export class ReplicaProcess {
  #process: ChildProcess | undefined;
  #output = '';
  #address: string | undefined;
  #operationsAddress: string | undefined;

  constructor(
    readonly name: string,
    readonly databaseUrl: string,
    /** More settings, and where another version than the one in dist/ is. */
    private readonly options: { readonly env?: Readonly<Record<string, string>>; readonly checkout?: string } = {},
  ) {}

  /** http://127.0.0.1:port; undefined while it does not listen. */
  get address(): string | undefined {
    return this.#address;
  }

  /** Where its probes and metrics are; another port if OPERATIONS_PORT was set. */
  get operationsAddress(): string | undefined {
    return this.#operationsAddress ?? this.#address;
  }

  get running(): boolean {
    return this.#process?.exitCode === null && this.#process.signalCode === null;
  }

  /** The last of what it wrote, for whoever has to find out what went wrong. */
  get output(): string {
    return this.#output.slice(-4_000);
  }

  /** Resolves when it listens; the database may be away. */
  async start(): Promise<void> {
    const settings = { DATABASE_URL: this.databaseUrl, ADMIN_TOKEN: adminToken, PORT: '0', HOST: '127.0.0.1', NODE_OPTIONS: '' };
    const child = spawn(process.execPath, ['dist/server.js'], {
      cwd: this.options.checkout,
      env: { ...process.env, ...shortLadder, ...settings, ...this.options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = child;
    this.#output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => (this.#output = (this.#output + String(chunk)).slice(-20_000)));
    }
    child.once('exit', () => {
      if (this.#process === child) this.#address = undefined;
    });
    const deadline = Date.now() + startTimeoutMs;
    for (;;) {
      const [, address] = /"address":"(http:[^"]+)"/.exec(this.#output) ?? [];
      if (address !== undefined) {
        this.#address = address;
        this.#operationsAddress = /"operations_address":"(http:[^"]+)"/.exec(this.#output)?.[1];
        return;
      }
      if (!this.running || Date.now() > deadline) throw new Error(`${this.name} did not start: ${this.#output}`);
      await pause(10);
    }
  }

  async untilReady(withinMs = 20_000): Promise<void> {
    const deadline = Date.now() + withinMs;
    for (;;) {
      const response = await fetch(`${this.operationsAddress ?? ''}/readyz`).catch(() => undefined);
      await response?.arrayBuffer();
      if (response?.status === 200) return;
      if (Date.now() > deadline) throw new Error(`${this.name} is not ready: ${this.output}`);
      await pause(50);
    }
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL', drainTimeoutMs);
  }

  get pid(): number {
    return this.#process!.pid!;
  }

  /** SIGTERM. @returns how it ended: 0, if everything that was admitted was answered first */
  async drain(): Promise<number | null> {
    await this.#end('SIGTERM', drainTimeoutMs);
    return this.#process?.exitCode ?? null;
  }

  async #end(signal: NodeJS.Signals, withinMs: number): Promise<void> {
    const child = this.#process;
    if (!child || !this.running) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), withinMs);
    await exited;
    clearTimeout(timer);
  }
}
