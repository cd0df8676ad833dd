import pLimit from 'p-limit';

/** Runs a bounded number of jobs at once; the others wait, first come, first served. The caller must bound the number of waiting jobs. */
export type Semaphore = <T>(job: () => Promise<T>) => Promise<T>;

export function semaphore(atOnceMax: number): Semaphore {
  return pLimit(atOnceMax);
}
