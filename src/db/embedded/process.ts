/** Child processes that do not outlive the API, however it ends; only SIGKILL leaves them running. */
import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process';

/** Postgres ends its sessions and writes a checkpoint. After this time it is shut down immediately, which loses no commit. */
const stopTimeoutMs = 30_000;
const crashTimeoutMs = 10_000;

/**
 * Starts a child in its own process group, so that a Ctrl-C in the terminal reaches only the API, which ends its children in
 * order.
 *
 * @param last ends the child if this process exits while the child is running
 */
export function startChild(binary: string, args: readonly string[], options: SpawnOptions, last: (pid: number) => void): ChildProcess {
  const child = spawn(binary, args, { ...options, detached: true });
  const endWithUs = () => {
    try {
      if (isRunning(child) && child.pid !== undefined) last(child.pid);
    } catch {
      // The child has already ended, but its exit event has not been emitted yet.
    }
  };
  process.once('exit', endWithUs);
  for (const event of ['exit', 'error']) child.once(event, () => process.off('exit', endWithUs));
  return child;
}

export function isRunning(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

/** Stops a Postgres server with a fast shutdown, which ends its sessions at once and keeps every commit. */
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
 * Runs one of Postgres's tools until it exits.
 *
 * @param signal asks the tool to exit early
 * @returns why it failed; undefined if it succeeded
 */
export async function runTool(
  binary: string,
  args: readonly string[],
  options: SpawnOptions,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  signal?.throwIfAborted();
  const killGroup = (pid: number) => process.kill(-pid, 'SIGKILL'); // including the tool's own children
  const child = startChild(binary, args, { ...options, stdio: ['ignore', 'ignore', 'pipe'] }, killGroup);
  let errors = '';
  child.stderr?.on('data', (chunk) => (errors += String(chunk)));
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
        resolve(code === 0 ? undefined : errors.trim());
      });
    });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', interrupt);
  }
}
