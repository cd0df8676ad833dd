/** Child processes that do not outlive the API, however it ends; only a SIGKILL leaves them behind. */
import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process';

/** Postgres ends its sessions and writes a checkpoint; after this it is ended as in a crash, which loses no commit. */
const stopTimeoutMs = 30_000;
const crashTimeoutMs = 10_000;

/**
 * Starts a child in a process group of its own: a Ctrl-C in the terminal reaches the API alone, which ends its children in
 * order.
 *
 * @param last ends the child when this process exits without having done so
 */
export function startChild(binary: string, args: readonly string[], options: SpawnOptions, last: (pid: number) => void): ChildProcess {
  const child = spawn(binary, args, { ...options, detached: true });
  const endWithUs = () => {
    try {
      if (isRunning(child) && child.pid !== undefined) last(child.pid);
    } catch {
      // It has ended, and its event had no time to come.
    }
  };
  process.once('exit', endWithUs);
  for (const event of ['exit', 'error']) child.once(event, () => process.off('exit', endWithUs));
  return child;
}

export function isRunning(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

/** Ends a Postgres server: its sessions at once ("fast"), every commit kept. */
export async function stopServer(server: ChildProcess): Promise<void> {
  if (!isRunning(server)) return;
  const exited = new Promise((resolved) => server.once('exit', resolved));
  server.kill('SIGINT');
  const timers = [
    setTimeout(() => server.kill('SIGQUIT'), stopTimeoutMs),
    setTimeout(() => server.kill('SIGKILL'), stopTimeoutMs + crashTimeoutMs),
  ];
  await exited;
  timers.forEach(clearTimeout);
}

/**
 * Runs one of Postgres's tools to its end.
 *
 * @param signal asks it to end early, which its end then tells
 * @returns why it failed; undefined: it did not
 */
export async function runTool(
  binary: string,
  args: readonly string[],
  options: SpawnOptions,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  signal?.throwIfAborted();
  const killGroup = (pid: number) => process.kill(-pid, 'SIGKILL'); // with the children that it works through
  const child = startChild(binary, args, { ...options, stdio: ['ignore', 'ignore', 'pipe'] }, killGroup);
  let said = '';
  child.stderr?.on('data', (chunk) => (said += String(chunk)));
  let timer: NodeJS.Timeout | undefined;
  const interrupt = () => {
    child.kill('SIGTERM');
    timer = setTimeout(() => {
      if (isRunning(child) && child.pid !== undefined) killGroup(child.pid);
    }, crashTimeoutMs);
  };
  signal?.addEventListener('abort', interrupt);
  try {
    return await new Promise<string | undefined>((resolve) => {
      child.once('error', (error) => {
        resolve(error.message);
      });
      child.once('close', (code) => {
        resolve(code === 0 ? undefined : said.trim());
      });
    });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', interrupt);
  }
}
