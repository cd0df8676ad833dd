/**
 * Goal: the manifests are valid, and keep what they promise to a buyer.
 * Method: each document against Kubernetes' own schema twice, as a value (formats, required fields) and as a TypeScript
 * expression, because only the compiler refuses a field that does not exist. Of CloudNativePG's `Cluster`, whose schema no
 * package has, the fields that are relied on are listed here, as its definition (1.27 and newer) has them.
 */
import { readdirSync } from 'node:fs';
import { Ajv } from 'ajv';
import ts from 'typescript';
import { expect, test } from '@jest/globals';
import { builtIn, byKind, cluster, kubernetes, labelsOf, type Manifest, readYaml, root } from './files.js';

const moduleOf = ({ apiVersion, kind }: Manifest) => `kubernetes-models/${apiVersion}/${kind}`;
/** A model knows its kind by itself. */
const dataOf = (manifest: Manifest) =>
  Object.fromEntries(Object.entries(manifest).filter(([name]) => !['apiVersion', 'kind'].includes(name)));

/** What the compiler says of the documents as arguments of their models. */
function compile(list: readonly Manifest[]): string[] {
  const name = `${root}/tests/deploy/manifests.generated.ts`;
  const lines = list.map((manifest, index) => {
    const model = `Model${String(index)}`;
    return `import { ${manifest.kind} as ${model} } from '${moduleOf(manifest)}';\nnew ${model}(${JSON.stringify(dataOf(manifest))});`;
  });
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    types: [],
  };
  const onDisk = ts.createCompilerHost(options);
  const host: ts.CompilerHost = {
    ...onDisk,
    fileExists: (path) => path === name || onDisk.fileExists(path),
    getSourceFile: (path, version) =>
      path === name ? ts.createSourceFile(path, lines.join('\n'), version) : onDisk.getSourceFile(path, version),
  };
  const found = ts.getPreEmitDiagnostics(ts.createProgram([name], options, host));
  return found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '));
}

test('every manifest has the fields of its kind and no others', () => {
  expect(builtIn.map(({ kind }) => kind).sort()).toEqual(['Deployment', 'Job', 'PodDisruptionBudget', 'Service']);
  expect(compile(builtIn)).toEqual([]);
  const misspelt = structuredClone(byKind('Deployment'));
  Object.assign(misspelt.spec.template.spec.containers[0], { livenesProbe: {} });
  expect(compile([misspelt])).toEqual([expect.stringContaining('livenesProbe')]);
});

test.each(builtIn.map((manifest) => [manifest.kind, manifest] as const))('%s has valid values', async (kind, manifest) => {
  const models = (await import(moduleOf(manifest))) as Record<string, new (data: object) => { validate(): void }>;
  const model = new models[kind]!(dataOf(manifest));
  expect(() => {
    model.validate();
  }).not.toThrow();
});

const text = { type: 'string' };
const whole = { type: 'integer', minimum: 1 };
const only = (properties: Record<string, object>, required = Object.keys(properties)) => ({
  type: 'object',
  additionalProperties: false,
  properties,
  required,
});
const clusterSchema = only({
  apiVersion: { const: 'postgresql.cnpg.io/v1' },
  kind: { const: 'Cluster' },
  metadata: only({ name: text }),
  spec: only({
    imageName: text,
    instances: whole,
    bootstrap: only({ initdb: only({ database: text, owner: text }) }),
    postgresql: only({
      synchronous: only({
        method: { enum: ['any', 'first'] },
        number: whole,
        dataDurability: { enum: ['required', 'preferred'] },
        failoverQuorum: { type: 'boolean' },
      }),
      parameters: { type: 'object', additionalProperties: text },
    }),
    resources: { type: 'object' },
    storage: only({ size: text }),
    walStorage: only({ size: text }),
  }),
});

test('an answered ticket is on two machines, and only one that has it becomes the primary', () => {
  const validate = new Ajv({ allErrors: true }).compile(clusterSchema);
  validate(cluster);
  expect(validate.errors).toBeNull();
  const { instances, postgresql } = cluster.spec;
  const { synchronous, parameters } = postgresql;
  expect(synchronous).toMatchObject({ dataDurability: 'required', failoverQuorum: true });
  // One standby may be away, and sales go on.
  expect(synchronous.number).toBeLessThan(instances - 1);
  expect(Object.keys(parameters)).not.toContain('synchronous_commit');
});

test('the secrets are named, never written down', () => {
  const env = ['Deployment', 'Job'].flatMap((kind) => byKind(kind).spec.template.spec.containers[0].env);
  const secrets = env.filter(({ name }) => /TOKEN|DATABASE_URL|PASSWORD|SECRET/.test(name));
  const made = { name: `${cluster.metadata.name}-app`, key: 'uri' };
  expect(secrets.map(({ valueFrom }) => valueFrom?.secretKeyRef)).toEqual([
    made,
    { name: 'onsale-admin', key: 'token' },
    { name: 'onsale-seller', key: 'token', optional: true },
    { name: 'onsale-buyers', key: 'secret', optional: true },
    made,
  ]);
  expect(env.filter(({ value }) => value !== undefined).map(({ name }) => name)).toEqual([
    'OPERATIONS_PORT',
    'CONNECTIONS_PER_ADDRESS_MAX',
    'DRAIN_DELAY_MS',
  ]);
});

test('probes come to a port of the pod that no buyer reaches by the service', () => {
  const [container] = byKind('Deployment').spec.template.spec.containers;
  const port = Number(container.env.find(({ name }) => name === 'OPERATIONS_PORT')!.value);
  expect(container.ports).toEqual([
    { name: 'http', containerPort: 3000 },
    { name: 'operations', containerPort: port },
  ]);
  const { startupProbe, livenessProbe, readinessProbe } = container;
  expect([startupProbe, livenessProbe, readinessProbe].map(({ httpGet }) => httpGet.port)).toEqual(
    Array.from({ length: 3 }, () => 'operations'),
  );
  expect(byKind('Service').spec.ports).toEqual([{ name: 'http', port: 80, targetPort: 'http' }]);
});

test('no container runs as root, gains rights or writes to its image', () => {
  for (const { spec } of [byKind('Deployment'), byKind('Job')]) {
    const pod = spec.template.spec;
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    expect(pod.containers[0].securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
  }
});

test('three replicas, of which at most one is taken away at a time, and a new one comes before an old one goes', () => {
  const { spec } = byKind('Deployment');
  expect(spec.replicas).toBe(3);
  expect(spec.strategy.rollingUpdate).toEqual({ maxUnavailable: 0, maxSurge: 1 });
  expect(byKind('PodDisruptionBudget').spec.maxUnavailable).toBe(1);
  for (const kind of ['Deployment', 'Service', 'PodDisruptionBudget'])
    expect(spec.template.metadata.labels).toMatchObject(labelsOf(byKind(kind).spec.selector));
});

test('the kustomization names every file and the image', () => {
  const [{ resources, images }] = readYaml(`${kubernetes}/kustomization.yaml`) as [{ resources: string[]; images: object[] }];
  const files = readdirSync(`${root}/${kubernetes}`).filter((file) => file.endsWith('.yaml'));
  expect([...resources, 'kustomization.yaml'].sort()).toEqual(files.sort());
  expect(images).toEqual([expect.objectContaining({ name: 'onsale' })]);
});
