/** Reports to the operator what a stop waits for: when it begins, every five seconds, and when it has ended. */

/** What is in progress. */
export interface Left {
  /** Answers that clients are owed, downloads included. */
  readonly unanswered: Iterable<unknown>;
  readonly downloads: number;
}

export interface StopTimes {
  /** The replica accepts requests for this long, so that load balancers stop sending to it first. */
  readonly listensForMs: number;
  /** Then requests and downloads may take this long. */
  readonly answersForMs: number;
}

export interface StopReport {
  /** Reports the end. */
  ended(): void;
}

type Tell = (details: object, sentence: string) => void;

/** @param tell writes one line. @param everyMs between two reports of what is left */
export function reportStop(left: Left, { listensForMs, answersForMs }: StopTimes, tell: Tell, everyMs = 5_000): StopReport {
  const beganAtMs = performance.now();
  const counts = () => {
    const { downloads } = left;
    return { requests: Math.max(0, [...left.unanswered].length - downloads), downloads };
  };
  const listens = listensForMs > 0 ? `it accepts requests for ${seconds(listensForMs)} more; ` : '';
  const longestMs = listensForMs + answersForMs;
  const inProgress = described(counts());
  const waits = inProgress === '' ? 'no request is in progress' : `it waits for ${inProgress}`;
  tell(
    { ...counts(), longest_ms: longestMs },
    `onsale is stopping: ${listens}${waits}, at most ${seconds(longestMs)}. A second Ctrl-C ends it at once.`,
  );
  const timer = setInterval(() => {
    const now = described(counts());
    const rest = now === '' ? 'no request is left; it closes its connections and its database' : `it still waits for ${now}`;
    tell(counts(), `onsale is stopping: ${rest}.`);
  }, everyMs);
  timer.unref();
  return {
    ended: () => {
      clearInterval(timer);
      const tookMs = Math.round(performance.now() - beganAtMs);
      tell({ took_ms: tookMs }, `onsale has stopped after ${seconds(tookMs)}.`);
    },
  };
}

function seconds(ms: number): string {
  return `${String(Math.round(ms / 100) / 10)} s`;
}

/** @returns an empty string if there is nothing */
function described({ requests, downloads }: { readonly requests: number; readonly downloads: number }): string {
  const parts = [counted(requests, 'request'), counted(downloads, 'download')];
  return parts.filter((part) => part !== '').join(' and ');
}

function counted(number: number, noun: string): string {
  if (number === 0) return '';
  return `${String(number)} ${noun}${number === 1 ? '' : 's'}`;
}
