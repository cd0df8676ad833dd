import pMemoize from 'p-memoize';

/** @returns a function that starts `work`, or joins it if it is already running */
export function singleFlight<T>(work: () => Promise<T>): () => Promise<T> {
  return pMemoize(work, { cache: false });
}
