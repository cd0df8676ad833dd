/**
 * Goal: the dashboard, the alarms and the operating page speak of what a replica really exports and can really be set to; a
 * misspelt metric would be a panel that is empty, and an alarm that is silent, on the night of the sale.
 * Method: the names in their expressions, held against the answer of /metrics and the configuration.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from '@jest/globals';
import { readConfig } from '../../src/config.js';
import { useDatabase } from '../support/database.js';
import type { Replica } from '../support/replica.js';
import { call } from './call.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFileSync(`${root}${path}`, 'utf8');

interface Panel {
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly datasource?: { readonly uid: string };
  readonly targets?: readonly { readonly expr: string }[];
}

const dashboards = readdirSync(`${root}deploy/observe/grafana/dashboards`).map(
  (file) =>
    JSON.parse(read(`deploy/observe/grafana/dashboards/${file}`)) as {
      panels: Panel[];
      templating: { list: { query: { query: string } }[] };
    },
);
const panels = dashboards.flatMap((dashboard) => dashboard.panels).filter(({ type }) => type !== 'row');
const alarms = read('deploy/observe/alerts.yml');
const operating = read('docs/operating.md');

const database = useDatabase();
let replica: Replica;
let exported: Set<string>;

beforeAll(async () => {
  replica = await database.startReplica();
  const { text } = await call(replica.address, 'GET /metrics');
  const types = [...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].flatMap(([, name, type]) =>
    type === 'histogram' ? [`${name!}_bucket`, `${name!}_sum`, `${name!}_count`] : [name!],
  );
  // These two are Prometheus's own.
  exported = new Set([...types, 'up', 'ALERTS']);
});

/** The metrics of a PromQL expression: its words, without strings, matchers, windows, lists of labels, functions and operators. */
function metricsOf(expression: string): string[] {
  const bare = expression
    .replace(/"[^"]*"/g, '')
    .replace(/\{[^}]*\}|\[[^\]]*\]/g, ' ')
    .replace(/\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)/g, ' ')
    .replace(/\boffset\s+\w+/g, ' ');
  return (bare.match(/[a-z_]\w*(?!\w|\s*\()/gi) ?? []).filter(
    (word) => !['or', 'and', 'unless', 'sum', 'min', 'max', 'bool'].includes(word),
  );
}

const alarmExpressions = [...alarms.matchAll(/^ +expr: (?:>-\n)?([^]*?)\n +(?:for|labels):/gm)].map(([, expression]) => expression!);
const expressions = [
  ...panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
  ...dashboards.flatMap(({ templating }) => templating.list.map(({ query }) => query.query.replace(/^label_values\((\w+), \w+\)$/, '$1'))),
  ...alarmExpressions,
];

test('the metrics of an expression are found, and nothing else', () => {
  expect(
    metricsOf('sum by (le, path) (rate(a_bucket{path!~"b|c"}[$__rate_interval])) / on (instance) d_count > 0.25 unless e offset 5m'),
  ).toEqual(['a_bucket', 'd_count', 'e']);
});

test('every metric of the dashboard and of the alarms is exported by a replica', () => {
  expect(alarmExpressions).toHaveLength(alarms.match(/- alert:/g)!.length);
  const named = expressions.map(metricsOf);
  expect(named.filter((metrics) => metrics.length === 0)).toEqual([]);
  expect([...new Set(named.flat())].filter((metric) => !exported.has(metric))).toEqual([]);
});

test('every panel asks the provisioned datasource, and says what to do', () => {
  const datasource = /uid: (\S+)/.exec(read('deploy/observe/grafana/provisioning/datasources/prometheus.yml'))![1];
  expect(panels.length).toBeGreaterThan(15);
  expect(panels.filter((panel) => panel.datasource?.uid !== datasource).map(({ title }) => title)).toEqual([]);
  expect(panels.filter(({ description = '' }) => description.length < 60).map(({ title }) => title)).toEqual([]);
});

test('the operating page says what to do for each alarm', () => {
  for (const [, alarm] of alarms.matchAll(/- alert: (\w+)/g)) expect(operating).toContain(`**${alarm!}**`);
});

test('the operating page names metrics that are exported, and settings that exist with their defaults', () => {
  const metrics = [...operating.matchAll(/`((?:onsale|nodejs|process)_\w+)/g)].map(([, name]) => name!);
  expect(metrics.filter((name) => ![name, `${name}_count`].some((each) => exported.has(each)))).toEqual([]);
  const defaults: Readonly<Record<string, unknown>> = readConfig({});
  const settings = [...operating.matchAll(/`([A-Z_]+_(?:MAX|MIN|MS|HOPS))`(?: \(([\d,]+)\))?/g)];
  expect(settings.length).toBeGreaterThan(20);
  const wrong = settings.filter(([, name = '', value]) =>
    value === undefined ? defaults[name] === undefined : defaults[name] !== Number(value.replaceAll(',', '')),
  );
  expect(wrong.map(([text]) => text)).toEqual([]);
});
