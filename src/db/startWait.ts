/** Waits at a start for a database that is not usable yet, and says why. */
import { setTimeout as pause } from 'node:timers/promises';
import { examine, type Purpose } from './examine.js';
import { StartError } from './startFaults.js';

/** The first report is immediate. */
const reportEveryMs = 10_000;
const examineEveryMs = 500;

export interface StartWait {
  /** Examines the database once, and reports why it is not usable yet. @throws StartError if waiting cannot help */
  isUsable(): Promise<boolean>;
  /** @param waitMaxMs then the last fault is thrown @throws StartError */
  untilUsable(waitMaxMs?: number): Promise<void>;
}

/** @param report receives the sentence of a fault that may pass, at most every ten seconds */
export function createStartWait(url: string, purpose: Purpose, report: (sentence: string) => void): StartWait {
  let reportedAtMs = -Infinity;
  let sentence = '';
  const isUsable = async () => {
    const fault = await examine(url, purpose);
    if (!fault) return true;
    ({ sentence } = fault);
    if (!fault.mayPass) throw new StartError(sentence);
    if (performance.now() - reportedAtMs >= reportEveryMs) {
      reportedAtMs = performance.now();
      report(sentence);
    }
    return false;
  };
  return {
    isUsable,
    untilUsable: async (waitMaxMs = Infinity) => {
      const deadline = performance.now() + waitMaxMs;
      while (!(await isUsable())) {
        if (performance.now() > deadline) throw new StartError(sentence);
        await pause(examineEveryMs);
      }
    },
  };
}
