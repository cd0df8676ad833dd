// @ts-check
/** Preloaded into a replica (NODE_OPTIONS=--require): its clock is off by CLOCK_OFF_MS. Timers are not. */
const offMs = Number(process.env['CLOCK_OFF_MS'] ?? 0);
const RealDate = Date;
globalThis.Date = /** @type {DateConstructor} */ (
  /** @type {unknown} */ (
    class extends RealDate {
      /** @param {[]} args as of Date; without any, the time of this clock */
      constructor(...args) {
        if (args.length === 0) super(RealDate.now() + offMs);
        else super(...args);
      }

      /** @override */
      static now() {
        return RealDate.now() + offMs;
      }
    }
  )
);
