/** Measures the event-loop lag: how late timers fire, and therefore how long every request waits in addition to its own work. */

export interface LagMeter {
  /** The lag in milliseconds: the last peak, halved in each interval. */
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
