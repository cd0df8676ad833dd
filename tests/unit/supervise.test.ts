/**
 * Goal: a server that ends is restarted after growing pauses, its end and its return are one line each, and one that is stopped is not
 * restarted.
 * Method: servers that the test ends, a clock and pauses that it controls.
 */
import type { ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { beforeEach, expect, test } from '@jest/globals';
import { Supervisor } from '../../src/db/embedded/supervise.js';

class Server extends EventEmitter {
  readonly pid = 1;
  exitCode: number | null = null;
  signalCode: string | null = null;

  end(exitCode: number | null, signalCode: string | null = null): void {
    [this.exitCode, this.signalCode] = [exitCode, signalCode];
    this.emit('exit', exitCode, signalCode);
  }

  kill(): boolean {
    this.end(0);
    return true;
  }
}

let servers: Server[];
let stopping: AbortController;
let lines: [details: object, message: string][];
let pausesMs: number[];
let nowMs: number;
/** Why the next starts fail. */
let failures: string[];

beforeEach(() => {
  stopping = new AbortController();
  [servers, lines, pausesMs, nowMs, failures] = [[new Server()], [], [], 0, []];
});

function supervise(): Supervisor {
  const log = { info: (...line: [object, string]) => lines.push(line), error: (...line: [object, string]) => lines.push(line) };
  return new Supervisor(servers[0] as unknown as ChildProcess, {
    launch: () => {
      servers.push(new Server());
      return servers.at(-1) as unknown as ChildProcess;
    },
    untilUp: () => {
      const failure = failures.shift();
      if (failure !== undefined) servers.at(-1)!.end(1);
      return Promise.resolve(failure);
    },
    lastLine: () => Promise.resolve('the last line'),
    log,
    stopping: stopping.signal,
    nowMs: () => nowMs,
    rest: (ms) => {
      pausesMs.push(ms);
      nowMs += ms;
      return Promise.resolve();
    },
  });
}

const returned = 'the embedded Postgres is running again';
async function untilReturned(times: number): Promise<void> {
  while (lines.filter(([, message]) => message === returned).length < times) await new Promise((resolve) => setImmediate(resolve));
}

test('a server that is killed is restarted, and both are one line', async () => {
  supervise();
  servers[0]!.end(null, 'SIGKILL');
  await untilReturned(1);
  expect(servers).toHaveLength(2);
  expect(lines).toEqual([
    [{ exit_code: undefined, signal: 'SIGKILL', last_line: 'the last line' }, 'the embedded Postgres ended; it is restarted'],
    [{ away_ms: 100, attempts: 1 }, returned],
  ]);
});

test('starts that fail for one cause are one line, each further cause is another', async () => {
  failures = ['line 1: in use', 'line 2: in use', 'line 3: disk full'];
  supervise();
  servers[0]!.end(1);
  await untilReturned(1);
  expect(lines.slice(1)).toEqual([
    [{ reason: 'line 1: in use' }, 'the embedded Postgres could not be restarted; it is tried again'],
    [{ reason: 'line 3: disk full' }, 'the embedded Postgres could not be restarted; it is tried again'],
    [{ away_ms: 1_500, attempts: 4 }, returned],
  ]);
});

test('the pauses double up to ten seconds, and start over after a server has run for more than a minute', async () => {
  supervise();
  for (let deaths = 1; deaths <= 9; deaths += 1) {
    servers.at(-1)!.end(1);
    await untilReturned(deaths);
  }
  nowMs += 60_001;
  servers.at(-1)!.end(1);
  await untilReturned(10);
  expect(pausesMs).toEqual([100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000, 100]);
});

test('a server that is stopped is not restarted, and its end is not logged', async () => {
  const supervisor = supervise();
  await supervisor.stop();
  expect(servers[0]!.exitCode).toBe(0);
  expect(servers).toHaveLength(1);
  expect(lines).toEqual([]);
});

test('a server that dies while the replica stops is not restarted', async () => {
  const supervisor = supervise();
  stopping.abort();
  servers[0]!.end(null, 'SIGKILL');
  await supervisor.stop();
  expect(servers).toHaveLength(1);
  expect(lines).toEqual([]);
});
