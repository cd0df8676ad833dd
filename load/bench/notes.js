// @ts-check
/** What each comparison of load/RESULTS.md shows and does not show. These texts do not change between runs. */

/** Names that must have been measured, and the text. @type {[string[], string][]} */
export const notes = [
  [
    ['nothing'],
    `*A route that does nothing* is the real application, with its middleware, validation and answer,
around a sale that only generates ids. It shows the ceiling of this HTTP layer; another layer
would have another ceiling.`,
  ],
  [
    ['plain'],
    `*Plain Express* is the same program with a cost that most programs have and could avoid. Routes
on \`node:http\` have neither.`,
  ],
  [
    ['one by one'],
    `*One transaction per request* is written with Prisma's model calls and ten connections, as
programs usually are. Raw statements would make it somewhat faster; the lock held over round
trips makes it slow.`,
  ],
  [
    ['redis'],
    `*Redis* runs a Lua script that counts down and appends to a stream, without idempotency keys,
tickets as rows or a query afterwards. It does less than onsale, and its operator would still
have to reconcile it with a database.`,
  ],
  [
    ['holds', 'confirms'],
    `*Holds* write no tickets, so they should be faster than purchases. *Confirms* update one row and
write two tickets for each answer, and verify a token. One statement wrote their holds
beforehand, and none of them expires meanwhile.`,
  ],
  [
    ['mix'],
    `*Mix* confirms a hold as soon as its answer has arrived. Buyers take minutes; by then the rows
have left the caches, on both sides of the comparison.`,
  ],
  [
    ['mix by unit'],
    `*One row per unit* is hold and claim as Shopify's engineers
[describe theirs](https://shopify.engineering/scaling-inventory-reservations), on Postgres and
behind this HTTP layer, with \`pg\` and without Prisma, each a single prepared statement. It checks
no buyers' limits, windows, releases or cancellations. It answers each request with a commit of
its own, so the comparison also shows group commit; a version that holds for a batch in one
transaction could be written and would be faster. Their MySQL, on machines of its own, is not
measured.`,
  ],
  [
    ['reads'],
    `*Availability reads* are compared with a GET that answers a constant. Each is answered by a query
that began after it arrived; how many share that query depends on how many ask at once.`,
  ],
  [['sold out'], `*Sold-out answers* are smaller than a purchase's, so a ratio above 1 is expected.`],
  [
    ['hundred events'],
    `*A hundred events* have two or three requests each in their queues, so their batches share less.
More buyers would restore it.`,
  ],
  [['old event'], `*An event with many tickets sold* has indexes of that size, on a machine whose memory holds them.`],
  [
    ['three replicas'],
    `*Three replicas on the same cores* show what sharing the row costs, not what three machines
bring.`,
  ],
  [
    ['purchases'],
    `*Latency on an idle system* is that of one connection that buys again and again. At a *constant
arrival* a request counts from the moment at which it was due, so a stall is in the percentiles.`,
  ],
];
