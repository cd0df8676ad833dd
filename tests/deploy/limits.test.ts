/**
 * Goal: the time limits of balancer, replica and orchestrator lie inside one another, in whichever file they stand.
 * Method: the numbers as the files have them; a change to one that breaks the order fails here.
 */
import { expect, test } from '@jest/globals';
import { readConfig } from '../../src/config.js';
import { byKind, compose, read } from './files.js';

const config = readConfig({});
const haproxy = read('deploy/haproxy.cfg');

/** In milliseconds, as HAProxy writes them. */
function haproxyTime(setting: string): number {
  const [, amount, unit] = new RegExp(`^\\s+(?:.* )?${setting} (\\d+)(ms|s)\\b`, 'm').exec(haproxy)!;
  return Number(amount) * (unit === 's' ? 1_000 : 1);
}

function inOrder(...limits: readonly (readonly [name: string, ms: number])[]): void {
  const sorted = limits.toSorted(([, a], [, b]) => a - b);
  expect(sorted).toEqual(limits);
  expect(new Set(limits.map(([, ms]) => ms)).size).toBe(limits.length);
}

test('the balancer waits longer for a replica than a replica works on a purchase, and than it receives one', () => {
  inOrder(
    ['PURCHASE_DEADLINE_MS', config.PURCHASE_DEADLINE_MS],
    ['REQUEST_TIMEOUT_MS', config.REQUEST_TIMEOUT_MS],
    ['timeout server', haproxyTime('timeout server')],
    ['AUDIT_TIMEOUT_MS', config.AUDIT_TIMEOUT_MS],
    ['timeout server of /admin/', haproxyTime('set-timeout server')],
  );
});

test('an idle connection ends at the client first, then at the balancer, then at the replica', () => {
  const [, promised] = /Keep-Alive timeout=(\d+)/.exec(haproxy)!;
  inOrder(
    ['what the client is promised', Number(promised) * 1_000],
    ['timeout http-keep-alive', haproxyTime('timeout http-keep-alive')],
    ['KEEP_ALIVE_TIMEOUT_MS', config.KEEP_ALIVE_TIMEOUT_MS],
  );
});

test('a request may wait in the balancer and a replica and still be answered before its client is cut off', () => {
  expect(haproxyTime('timeout queue') + config.PURCHASE_DEADLINE_MS).toBeLessThan(haproxyTime('timeout client'));
});

/** The longest time from SIGTERM until the balancer sends nothing more: two checks, each as late as it can be. */
const noticedByMs = haproxyTime('inter') + haproxyTime('fastinter') + 2 * haproxyTime('timeout check');
const stopMs = (delayMs: number) => delayMs + config.REQUEST_TIMEOUT_MS + config.PURCHASE_DEADLINE_MS;

test('in compose a replica drains until it is noticed, and is not killed before it has answered', () => {
  const { api } = compose.services;
  const delayMs = Number(api.environment!['DRAIN_DELAY_MS']);
  inOrder(['noticed', noticedByMs], ['DRAIN_DELAY_MS', delayMs]);
  inOrder(['stopped', stopMs(delayMs)], ['stop_grace_period', Number.parseInt(api.stop_grace_period) * 1_000]);
  expect(read('deploy/replicas.js')).toContain(`drainDelayMs = ${String(delayMs / 1_000)}_000;`);
});

test('in Kubernetes too', () => {
  const pod = byKind('Deployment').spec.template.spec;
  const [container] = pod.containers;
  const delayMs = Number(container.env.find(({ name }) => name === 'DRAIN_DELAY_MS')!.value);
  const { periodSeconds, failureThreshold } = container.readinessProbe;
  inOrder(['noticed by the probe', periodSeconds * failureThreshold * 1_000], ['DRAIN_DELAY_MS', delayMs]);
  inOrder(['stopped', stopMs(delayMs)], ['terminationGracePeriodSeconds', pod.terminationGracePeriodSeconds * 1_000]);
});

test('a request that reached a replica is repeated only if it is a read', () => {
  expect(haproxy).toMatch(/^\s+http-request disable-l7-retry unless METH_GET$/m);
  expect(haproxy).toMatch(/^\s+retry-on conn-failure empty-response$/m);
});
