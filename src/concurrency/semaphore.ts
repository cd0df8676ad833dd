import pLimit from 'p-limit';

/** Runs jobs, so many at once; the others wait, first come, first served. How many may wait is for the caller to bound. */
export type Semaphore = <T>(job: () => Promise<T>) => Promise<T>;

export function semaphore(atOnceMax: number): Semaphore {
  return pLimit(atOnceMax);
}
