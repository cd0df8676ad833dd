/** Work that repeats for as long as the replica runs, one round at a time. */
import { setTimeout as pause } from 'node:timers/promises';

export interface Loop {
  /** Begins no further round; resolves when the running one has ended. */
  stop(): Promise<void>;
}

export interface LoopOptions {
  /** @param stopping aborted when the round should end early. @returns whether there is more to do at once */
  readonly runOnce: (stopping: AbortSignal) => Promise<boolean>;
  /** Between two rounds, unless there is more to do; varied by half, so that the replicas do not work in step. */
  readonly intervalMs: number;
  readonly onFault: (error: unknown) => void;
}

export function startLoop({ runOnce, intervalMs, onFault }: LoopOptions): Loop {
  const stopping = new AbortController();
  const rest = () => pause(intervalMs * (0.5 + Math.random()), undefined, { ref: false, signal: stopping.signal }).catch(() => undefined);
  const run = async () => {
    while (!stopping.signal.aborted) {
      const isMore = await runOnce(stopping.signal).catch((error: unknown) => {
        onFault(error);
        return false;
      });
      if (!isMore) await rest();
    }
  };
  const ended = run();
  return {
    stop: async () => {
      stopping.abort();
      await ended;
    },
  };
}
