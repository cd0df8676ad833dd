import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readConfig } from '../../src/config.js';
import { createReplica, type Replica as BareReplica } from '../../src/replica.js';

/** For tests that are not about overload: on a busy machine, too, every request is answered by the sale and none by a limit. */
export const patientSettings = {
  CONNECT_TIMEOUT_MS: '20000',
  LOCK_TIMEOUT_MS: '20000',
  STATEMENT_TIMEOUT_MS: '21000',
  TRANSACTION_TIMEOUT_MS: '22000',
  CLIENT_DEADLINE_MS: '23000',
  PURCHASE_DEADLINE_MS: '24000',
  REQUEST_TIMEOUT_MS: '25000',
  QUEUE_WAIT_MS: '20000',
  EVENT_LOOP_LAG_MAX_MS: '20000',
};

export const adminToken = 'the-admin-token-of-the-tests';

/** A replica as the process would make it, in this process, on a port of its own. */
export interface Replica extends BareReplica {
  /** http://127.0.0.1:port */
  readonly address: string;
  /** The same with probes and metrics: another port where OPERATIONS_PORT is set. */
  readonly operationsAddress: string;
}

/** @param env settings beside the address of the database */
export async function startReplica(databaseUrl: string, env: Record<string, string> = {}): Promise<Replica> {
  const config = readConfig({ DATABASE_URL: databaseUrl, ADMIN_TOKEN: adminToken, LOG_LEVEL: 'silent', ...env });
  const replica = createReplica(config, databaseUrl, adminToken);
  await untilAnswered(replica);
  const server = replica.createServer();
  const address = await listen(server);
  const operations = config.OPERATIONS_PORT === undefined ? undefined : replica.createOperationsServer();
  return {
    ...replica,
    address,
    operationsAddress: operations ? await listen(operations) : address,
    close: async () => {
      await Promise.all([server, ...(operations ? [operations] : [])].map(close));
      await replica.close();
    },
  };
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, resolve));
  return `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
}

async function close(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

/** One check of readiness may be late on a busy machine; ready or not ready, but not "does not answer". */
async function untilAnswered({ readiness }: BareReplica): Promise<void> {
  for (let attempt = 0; attempt < 10; attempt += 1) {
    const state = await readiness.check();
    if (state.ready || !state.reason.includes('does not answer')) return;
  }
}
