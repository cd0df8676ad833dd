/** How late the event loop is: everything in the process waits so long, whatever else it waits for. */

export interface LagMeter {
  /** The worst of the last moments, in milliseconds. */
  lagMs(): number;
  stop(): void;
}

const everyMs = 20;

export function startLagMeter(): LagMeter {
  let lag = 0;
  let lastMs = performance.now();
  const timer = setInterval(() => {
    const nowMs = performance.now();
    lag = Math.max(nowMs - lastMs - everyMs, lag / 2);
    lastMs = nowMs;
  }, everyMs);
  timer.unref();
  return {
    lagMs: () => Math.max(lag, performance.now() - lastMs - everyMs),
    stop: () => {
      clearInterval(timer);
    },
  };
}
