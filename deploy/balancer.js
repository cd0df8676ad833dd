// @ts-check
/** HAProxy on this machine, with the file that compose uses, and the socket on which replicas are named to it. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const configuration = fileURLToPath(new URL('haproxy.cfg', import.meta.url));
const startTimeoutMs = 10_000;
const answerTimeoutMs = 5_000;
/** Longer than `hard-stop-after` of the file, by which it ends by itself. */
const stopTimeoutMs = 25_000;

/** Servers that the file has room for. */
export const replicasMax = 20;

/** @returns {string | undefined} the version, where HAProxy is on PATH */
export function haproxyVersion() {
  const { stdout, status } = spawnSync('haproxy', ['-v'], { encoding: 'utf8' });
  return status === 0 ? /version (\d[\w.]*)/.exec(stdout)?.[1] : undefined;
}

/** HAProxy did not start; the message is one sentence. */
export class BalancerError extends Error {}

/**
 * HAProxy writes an alert for each consequence of a fault. The first names the cause.
 *
 * @param {string} bind @param {string} said all of its output @param {string} otherwise
 */
function explain(bind, said, otherwise) {
  const port = bind.slice(bind.lastIndexOf(':') + 1);
  if (/address already in use/i.test(said)) return `Cannot listen on ${bind}: port ${port} is in use; choose another with PORT.`;
  const lines = said.split('\n').filter(Boolean);
  const cause = (lines.find((line) => line.includes('[ALERT]')) ?? lines.at(-1) ?? otherwise).replace(/^\[ALERT\]\s*(\(\d+\)\s*:\s*)?/, '');
  return `HAProxy did not start on ${bind}: ${cause.trim().replace(/\.$/, '')}.`;
}

/** What HAProxy thinks of a replica: `UP`, `DOWN`, `MAINT`, and how many requests it has there. @typedef {{ name: string, status: string, underWay: number }} Standing */

export class Balancer {
  #child;
  #dir;
  #exited;
  /** The end of its output, for the message when it fails to start. */
  #said = '';

  /**
   * @param {import('node:child_process').ChildProcess} child
   * @param {string} dir of the socket
   * @param {(line: string) => void} say
   */
  constructor(child, dir, say) {
    this.#child = child;
    this.#dir = dir;
    this.#exited = new Promise((resolve) => child.once('exit', resolve));
    const keep = (/** @type {unknown} */ chunk) => (this.#said = (this.#said + String(chunk)).slice(-10_000));
    // Everything on its error stream is also in its log, except what kept it from starting.
    child.stderr?.on('data', keep);
    child.stdout?.on('data', (chunk) => {
      keep(chunk);
      for (const line of String(chunk).split('\n').filter(Boolean)) say(line);
    });
    child.once('error', (error) => (this.#said += error.message));
  }

  /**
   * Resolves when it listens; it has no replicas then, and answers 503.
   *
   * @param {{ bind: string, env?: Record<string, string>, say?: (line: string) => void, file?: string }} options
   *   `bind`: such as `127.0.0.1:3000`; `env`: more variables of haproxy.cfg; `file`: in its place
   */
  static async start({ bind, env = {}, say = () => undefined, file = configuration }) {
    const dir = await mkdtemp(join(tmpdir(), 'onsale-'));
    const settings = { ...process.env, BALANCER_BIND: bind, BALANCER_SOCKET: join(dir, 'balancer'), ...env };
    // A process group of its own: a Ctrl-C in the terminal would end it with requests under way.
    const child = spawn('haproxy', ['-db', '-f', file], { env: settings, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const balancer = new Balancer(child, dir, say);
    const deadline = Date.now() + startTimeoutMs;
    for (;;) {
      try {
        await balancer.#command('show info');
        return balancer;
      } catch (error) {
        if (!balancer.running || Date.now() > deadline) {
          await balancer.stop();
          throw new BalancerError(explain(bind, balancer.#said, String(error)));
        }
      }
      await pause(20);
    }
  }

  get running() {
    return this.#child.exitCode === null && this.#child.signalCode === null && this.#child.pid !== undefined;
  }

  get pid() {
    return this.#child.pid;
  }

  /** Resolves when it has ended, for whatever reason. @returns {Promise<unknown>} */
  get ended() {
    return this.#exited;
  }

  /**
   * From here on requests go there, too. It should be ready.
   *
   * @param {number} slot from 1 to `replicasMax`
   * @param {string} address http://…
   * @param {string} operationsAddress where it is asked whether it is ready, on the same host
   */
  async add(slot, address, operationsAddress) {
    const { hostname, port } = new URL(address);
    await this.#change(slot, `addr ${hostname} port ${port}`);
    await this.#change(slot, `check-port ${new URL(operationsAddress).port}`);
    await this.#change(slot, 'state ready');
  }

  /** No more requests go there; those that did are answered. @param {number} slot */
  async remove(slot) {
    await this.#change(slot, 'state maint');
  }

  /** @returns {Promise<Standing[]>} of the replicas that were named to it or found by name */
  async standings() {
    const [head = '', ...rows] = (await this.#command('show stat')).split('\n');
    const columns = head.replace('# ', '').split(',');
    /** @param {string[]} row @param {string} column */
    const at = (row, column) => row[columns.indexOf(column)] ?? '';
    return rows
      .map((row) => row.split(','))
      .filter((row) => at(row, 'pxname') === 'replicas' && at(row, 'svname').startsWith('api'))
      .map((row) => ({ name: at(row, 'svname'), status: at(row, 'status'), underWay: Number(at(row, 'scur')) }))
      .filter(({ status }) => !status.startsWith('MAINT'));
  }

  kill() {
    if (this.running) this.#child.kill('SIGKILL');
  }

  /** Takes no more connections, answers what was asked, ends. Also where it has ended already. */
  async stop() {
    if (this.running) {
      this.#child.kill('SIGUSR1');
      const timer = setTimeout(() => this.#child.kill('SIGKILL'), stopTimeoutMs);
      await this.#exited;
      clearTimeout(timer);
    }
    await rm(this.#dir, { recursive: true, force: true });
  }

  /** @param {number} slot @param {string} what */
  async #change(slot, what) {
    const answer = await this.#command(`set server replicas/api${slot} ${what}`);
    if (answer !== '' && !answer.includes('changed') && !answer.includes('no need to change')) throw new Error(`HAProxy: ${answer}`);
  }

  /** @param {string} command @returns {Promise<string>} its answer */
  #command(command) {
    return new Promise((resolve, reject) => {
      const socket = connect(join(this.#dir, 'balancer'));
      let answer = '';
      socket.setTimeout(answerTimeoutMs, () => socket.destroy(new Error('HAProxy does not answer on its socket')));
      socket.on('data', (chunk) => (answer += String(chunk)));
      socket.once('error', reject);
      socket.once('close', () => resolve(answer.trim()));
      socket.end(`${command}\n`);
    });
  }
}
