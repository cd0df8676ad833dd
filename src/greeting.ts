/** What a start prints for people: where everything is, and commands that work as they are. */

export interface Greeting {
  /** The first line, after "onsale is on". */
  readonly address: string;
  /** Whether the API serves its documentation. */
  readonly documented: boolean;
  /** Further lines about addresses. */
  readonly addresses: readonly string[];
  /** Where the data is. */
  readonly where: string;
  /** The generated token; undefined if ADMIN_TOKEN is set, because the operator's secret must not be printed. */
  readonly generatedToken: string | undefined;
  readonly whoMay: string;
}

/**
 * A new idempotency key at each paste, in every POSIX shell of Linux and macOS. With a constant key a second paste would get the
 * first purchase again.
 */
const newKey = `$(od -An -N12 -tx1 /dev/urandom | tr -d ' \\n')`;

export function greeting({ address, documented, addresses, where, generatedToken, whoMay }: Greeting): string {
  const docs = documented ? `, its API at ${address}/docs` : '';
  const header = generatedToken === undefined ? '"Authorization: Bearer $ADMIN_TOKEN"' : `'Authorization: Bearer ${generatedToken}'`;
  const json = `-H 'Content-Type: application/json'`;
  return `
${[`onsale is on ${address}${docs}`, ...addresses].join('\n')}
It keeps its data in ${where}
The admin token is ${generatedToken ?? 'that of ADMIN_TOKEN'}
${whoMay}

Create an event with 100 tickets and at most 4 per purchase:

  curl -s ${address}/admin/events -H ${header} \\
    ${json} -d '{"name":"First night","total_quota":100,"max_purchase_limit":4}'

Buy two tickets, with the id from the answer:

  curl -s ${address}/events/EVENT_ID/purchases ${json} \\
    -H "Idempotency-Key: ${newKey}" -d '{"quantity":2}'

Hold instead of buying: create the event with "hold_seconds":600, buy as above, and confirm the purchase once it is paid:

  curl -s -X POST ${address}/events/EVENT_ID/purchases/PURCHASE_ID/confirm -H ${header}
`;
}
