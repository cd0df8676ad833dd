import pMemoize from 'p-memoize';

/** @returns the same work, which those who ask while it is running share */
export function singleFlight<T>(work: () => Promise<T>): () => Promise<T> {
  return pMemoize(work, { cache: false });
}
