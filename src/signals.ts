/** What the process is asked to do by signals, from before it starts anything until it ends. */

/** Asked again later than this, by an impatient person. One Ctrl-C arrives twice: from the terminal, and passed on by npm. */
const impatientAfterMs = 1_000;

/** The process was asked to end while it was starting. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

/**
 * Call it before anything is started: until then a signal ends the process without a word, and what it started goes on.
 *
 * @param endAtOnce asked again; it must not wait for anything
 * @returns aborted by the first SIGTERM, SIGINT or SIGHUP, with Interrupted as its reason
 */
export function watchSignals(endAtOnce: () => void): AbortSignal {
  const asked = new AbortController();
  let sinceMs = 0;
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (!asked.signal.aborted) {
        sinceMs = performance.now();
        asked.abort(new Interrupted(`onsale was asked to stop (${signal}) while it was starting.`));
      } else if (performance.now() - sinceMs > impatientAfterMs) {
        endAtOnce();
      }
    });
  }
  return asked.signal;
}

/** The same result, unless the signal comes first. The work goes on; whoever started it ends it. @throws the signal's reason */
export async function unlessAsked<T>(asked: AbortSignal, work: Promise<T>): Promise<T> {
  let interrupt: (() => void) | undefined;
  const interrupted = new Promise<never>((_resolve, reject) => {
    interrupt = () => {
      reject(asked.reason as unknown);
    };
    if (asked.aborted) interrupt();
    else asked.addEventListener('abort', interrupt);
  });
  try {
    return await Promise.race([work, interrupted]);
  } finally {
    if (interrupt) asked.removeEventListener('abort', interrupt);
  }
}
