// @ts-check
/**
 * 5,000 buyers, who may have four tickets each, try ten times in parallel over three replicas. None has more than four at any moment,
 * and the event sells out exactly: where there are four for each, and where there are fewer.
 */
import pLimit from 'p-limit';
import { openStage } from '../bench/stage.js';
import { crowdAt, watched } from './crowd.js';

const [tries, limit, buyersAtOnce] = [10, 4, 100];

/** @param {(line: string) => void} say @param {number} [buyers] */
export async function tryTenTimes(say, buyers = 5_000) {
  const stage = await openStage();
  try {
    const replicas = await Promise.all([1, 2, 3].map(() => stage.onsale()));
    const crowd = crowdAt(replicas.map(({ address }) => address));
    for (const [quota, rules] of /** @type {[number, object][]} */ ([
      [buyers * limit, {}],
      [buyers * limit, { hold_seconds: 600 }],
      [buyers * 2, {}],
    ])) {
      const eventId = await stage.makeEvent(replicas[0]?.address ?? '', { total_quota: quota, max_per_buyer: limit, ...rules });
      let most = 0;
      const look = async () => {
        const { rows } = await stage.sql.query(
          `SELECT coalesce(max(tickets), 0)::int AS most
             FROM (SELECT sum(quantity) AS tickets FROM purchases WHERE event_id = $1 AND status IN ('held', 'confirmed') GROUP BY buyer_id) t`,
          [eventId],
        );
        most = Math.max(most, rows[0].most);
      };
      /** @type {Record<string, number>} */
      const answers = {};
      const inTurn = pLimit(buyersAtOnce);
      const ask = async (/** @type {number} */ buyer) => {
        const { status, body } = await crowd.buy(eventId, { quantity: 1, buyer_id: `buyer-${buyer}` });
        const kind = status === 201 ? '201' : `${status} ${body['code']}`;
        answers[kind] = (answers[kind] ?? 0) + 1;
      };
      const startedAt = performance.now();
      const trying = Array.from({ length: buyers }, (_, buyer) =>
        inTurn(() => Promise.all(Array.from({ length: tries }, () => ask(buyer)))),
      );
      const { looks } = await watched(look, Promise.all(trying));
      await look();
      const { sold, held } = await stage.books.onsale.audit([eventId]);
      const perSecond = (buyers * tries) / ((performance.now() - startedAt) / 1000);
      say(
        `quota ${quota}, ${JSON.stringify(rules)}: ${sold + held} taken, at most ${most} by one in ${looks} looks; ${perSecond.toFixed(0)} answers/s, ${JSON.stringify(answers)}`,
      );
      if (sold + held !== quota || most > limit) throw new Error('it did not sell out exactly, or somebody had too many');
    }
    crowd.close();
  } finally {
    await stage.close();
  }
}
