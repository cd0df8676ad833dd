/** The opening page of /docs, in Markdown: errors, and how a client retries. */
export const guide = `
Sells tickets and never oversells.

## Errors

Every error is \`application/problem+json\` (RFC 9457). Switch on \`code\`, which is stable; treat a code that you do not know
like its status. \`detail\` is for people. Quote \`request_id\` when you report an error. Answers can gain members: ignore those
that you do not know.

Beside the answers of each operation: a path that does not exist is 404 \`not-found\`, a method that a path does not support is
405 \`method-not-allowed\` with \`Allow\`, and malformed HTTP is 400, 408, 417 or 431 with the code \`validation\`. A slash at the
end of a path changes nothing.

## Retries

**One key for each wish to buy.** Make an \`Idempotency-Key\` (a UUID will do) when the buyer decides to buy, store it, and send
it with every attempt. The same key with the same body buys once, whichever replica answers and whatever crashes in between; a
repeated answer carries \`Idempotency-Replayed: true\`. The same key with another body is 422 \`idempotency-key-reused\`. Use a
new key for the next wish. Confirming, releasing and cancelling need no key: repeat the request.

| Answer | What happened | What to do |
|---|---|---|
| 2xx | It is done, durably | Nothing |
| 429, 503 \`overloaded\` | Nothing | Wait, then send the same request with the same key |
| 503 \`outcome-unknown\`, 500, a timeout, a lost connection | Unknown | Wait, then send the same request **with the same key** |
| 409 \`sale-not-started\` | Nothing | Wait until the sale starts, as \`Retry-After\` says |
| 409 \`sold-out\`, \`insufficient-availability\` | Nothing | If \`held_quantity\` is above 0, tickets can come back: ask again later |
| Any other 4xx | Nothing | Do not repeat the request unchanged |

**Wait for \`Retry-After\`, with jitter.** \`Retry-After\` is in seconds. Wait for that time multiplied by a random number from
1 to 2, so that the clients of a crowd do not return at the same moment. Without the header, wait for one second, and for twice
as long after each further attempt.

**An unknown outcome is not a failure.** The purchase may be committed. The same request with the same key returns it, or buys
it if it was not. Without a key, look up the \`purchase_id\` of the answer before you buy again: it can be committed a moment
later, so a single 404 proves nothing.
`.trim();
