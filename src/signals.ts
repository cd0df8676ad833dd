/** Termination signals, handled from before anything is started until the process exits. */

/**
 * A second signal later than this forces an immediate exit. An earlier one is ignored: one Ctrl-C arrives twice, from the terminal
 * and from npm.
 */
const impatientAfterMs = 1_000;

/** The process was asked to end while it was starting. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

/**
 * Call it before anything is started: without it a signal kills the process, and the child processes keep running.
 *
 * @param endAtOnce called on a second signal; it must not wait for anything
 * @returns a signal that the first SIGTERM, SIGINT or SIGHUP aborts, with Interrupted as its reason
 */
export function watchSignals(endAtOnce: () => void): AbortSignal {
  const stopping = new AbortController();
  let sinceMs = 0;
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (!stopping.signal.aborted) {
        sinceMs = performance.now();
        stopping.abort(new Interrupted(`onsale was asked to stop (${signal}) while it was starting.`));
      } else if (performance.now() - sinceMs > impatientAfterMs) {
        endAtOnce();
      }
    });
  }
  return stopping.signal;
}

/** Resolves as `work` does, unless the signal is aborted first. The work continues; the caller must end it. @throws the signal's reason */
export async function unlessAsked<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  let interrupt: (() => void) | undefined;
  const interrupted = new Promise<never>((_resolve, reject) => {
    interrupt = () => {
      reject(signal.reason as unknown);
    };
    if (signal.aborted) interrupt();
    else signal.addEventListener('abort', interrupt);
  });
  try {
    return await Promise.race([work, interrupted]);
  } finally {
    if (interrupt) signal.removeEventListener('abort', interrupt);
  }
}
