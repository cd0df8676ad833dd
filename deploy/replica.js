// @ts-check
/** A replica as a process of this machine: started, watched, drained. */
import { spawn } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const checkout = fileURLToPath(new URL('..', import.meta.url));
const startTimeoutMs = 30_000;
/** After SIGTERM: the delay, what is being received, and what is being sold; then it is stuck. */
const drainTimeoutMs = 30_000;

/** As `npm start` and the Dockerfile have them. */
export const heapFlags = ['--min-semi-space-size=256', '--max-semi-space-size=256'];

export class Replica {
  #child;
  #exited;

  /**
   * @param {string} name
   * @param {{ http: number, operations: number }} ports free ones of this machine
   * @param {Record<string, string>} env
   * @param {(line: string) => void} say what it writes
   */
  constructor(name, ports, env, say) {
    this.name = name;
    this.address = `http://127.0.0.1:${ports.http}`;
    /** Where its probes and metrics are. */
    this.operationsAddress = `http://127.0.0.1:${ports.operations}`;
    const settings = {
      ...process.env,
      NODE_ENV: 'production',
      HOST: '127.0.0.1',
      ...env,
      PORT: String(ports.http),
      OPERATIONS_PORT: String(ports.operations),
    };
    // A process group of its own: a Ctrl-C in the terminal reaches us alone, and we stop what we started in order.
    this.#child = spawn(process.execPath, ['--enable-source-maps', ...heapFlags, 'dist/server.js'], {
      cwd: checkout,
      env: settings,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    const child = this.#child;
    this.#exited = new Promise((resolve) => child.once('exit', resolve));
    for (const stream of [child.stdout, child.stderr]) {
      let rest = '';
      stream.on('data', (chunk) => {
        const lines = (rest + String(chunk)).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) if (!line.includes('"msg":"listening"')) say(`${name}: ${line}`);
      });
    }
  }

  get pid() {
    return this.#child.pid;
  }

  get running() {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Resolves when it has ended, by whomever. @returns {Promise<unknown>} */
  get ended() {
    return this.#exited;
  }

  /** How it ended, for a sentence. */
  get fate() {
    const { signalCode, exitCode } = this.#child;
    return signalCode === null ? `with ${exitCode}` : `by ${signalCode}`;
  }

  /** @returns {Promise<string>} its address, when it may get requests */
  async untilReady() {
    const deadline = Date.now() + startTimeoutMs;
    for (;;) {
      const answer = await fetch(`${this.operationsAddress}/readyz`, { signal: AbortSignal.timeout(2_000) }).catch(() => undefined);
      const body = await answer?.text().catch(() => undefined);
      if (answer?.status === 200) return this.address;
      if (!this.running) throw new Error(`${this.name} ended ${this.fate}`);
      if (Date.now() > deadline) throw new Error(`${this.name} is not ready: ${reasonIn(body)}`);
      await pause(50);
    }
  }

  kill() {
    if (this.running) this.#child.kill('SIGKILL');
  }

  /** Drains it; also where it has ended already. */
  async stop() {
    if (!this.running) return;
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), drainTimeoutMs);
    await this.#exited;
    clearTimeout(timer);
  }
}

/** @param {string | undefined} problem a problem document */
function reasonIn(problem) {
  try {
    return /** @type {{ detail?: string }} */ (JSON.parse(problem ?? '')).detail ?? 'it does not say why';
  } catch {
    return 'it does not say why';
  }
}
