// @ts-check
/**
 * 100,000 holds are made, abandoned and expire, over three replicas whose clocks are an hour fast, right and an hour slow. Each comes
 * back exactly once: the conservation query holds all the time, and in the end the event sells out exactly.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openStage } from '../bench/stage.js';
import { crowdAt, untilDone, watched } from './crowd.js';

const hourMs = 3_600_000;
const [quota, holdSeconds, clients] = [10_000, 10, 128];

/** @param {(line: string) => void} say @param {number} [abandoned] holds */
export async function abandon(say, abandoned = 100_000) {
  const stage = await openStage();
  try {
    const preload = `--require=${fileURLToPath(new URL('clockOff.cjs', import.meta.url))}`;
    const replicas = await Promise.all(
      [hourMs, 0, -hourMs].map((offMs) => stage.onsale({ NODE_OPTIONS: preload, CLOCK_OFF_MS: String(offMs) })),
    );
    const crowd = crowdAt(replicas.map(({ address }) => address));
    const eventId = await stage.makeEvent(replicas[0]?.address ?? '', { total_quota: quota, hold_seconds: holdSeconds });
    const look = () => stage.books.onsale.audit([eventId]);

    /** @type {Record<string, number>} */
    const answers = {};
    /** @param {object} wanted */
    const buy = async (wanted) => {
      const { status, body } = await crowd.buy(eventId, wanted);
      const kind = status === 201 ? 'held' : String(body['code']);
      answers[kind] = (answers[kind] ?? 0) + 1;
      if (kind !== 'held') await pause(100);
      return kind === 'held' ? String(body['id']) : undefined;
    };

    const startedAt = performance.now();
    let made = 0;
    const making = untilDone(clients, async (stop) => {
      if ((await buy({ quantity: 1 })) !== undefined) made += 1;
      if (made >= abandoned) stop();
    });
    const { looks } = await watched(look, making);
    say(
      `${made} holds in ${((performance.now() - startedAt) / 1000).toFixed(0)} s, audited ${looks} times; answers ${JSON.stringify(answers)}`,
    );

    let confirmed = 0;
    const late = { count: 0 };
    const selling = untilDone(clients, async (stop) => {
      const id = await buy({ quantity: 1 });
      if (id !== undefined) {
        const { status } = await crowd.confirm(eventId, id);
        if (status === 200) confirmed += 1;
        else late.count += 1;
      }
      if (confirmed === quota) stop();
    });
    await watched(look, selling);
    const { rows } = await stage.sql.query('SELECT status::text, count(*)::int AS count FROM purchases WHERE event_id = $1 GROUP BY 1', [
      eventId,
    ]);
    const counts = Object.fromEntries(rows.map(({ status, count }) => [status, count]));
    const { sold, held } = await stage.books.onsale.audit([eventId]);
    say(`sold ${sold} of ${quota}, ${held} held; purchases ${JSON.stringify(counts)}, ${late.count} confirmed too late`);
    crowd.close();
    if (sold !== quota || held !== 0 || counts['expired'] !== made + late.count) throw new Error('not every hold came back exactly once');
  } finally {
    await stage.close();
  }
}
