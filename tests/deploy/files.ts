/** The files of deploy/ and the compose file, as far as the tests look into them; a wrong guess fails where it is used. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';

export const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

export const read = (path: string) => readFileSync(`${root}/${path}`, 'utf8');

/** @throws whatever keeps one of the documents from being YAML */
export function readYaml(path: string): unknown[] {
  return parseAllDocuments(read(path), { merge: true }).map((document) => {
    for (const error of document.errors) throw error;
    return document.toJS() as unknown;
  });
}

interface ComposeService {
  readonly image: string;
  readonly command?: readonly string[];
  readonly deploy?: { readonly replicas: number };
  readonly environment?: Readonly<Record<string, string | number>>;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly stop_grace_period: string;
}

export interface Compose {
  readonly services: Readonly<Record<'api' | 'postgres' | 'balancer' | 'k6', ComposeService>>;
}

export const compose = readYaml('docker-compose.yml')[0] as Compose;

interface Probe {
  readonly httpGet: { readonly port: string };
}

interface KeyRef {
  readonly name: string;
  readonly key: string;
  readonly optional?: boolean;
}

interface Container {
  readonly env: readonly {
    readonly name: string;
    readonly value?: string;
    readonly valueFrom?: { readonly secretKeyRef?: KeyRef; readonly configMapKeyRef?: KeyRef };
  }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly startupProbe: Probe;
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe & { readonly periodSeconds: number; readonly failureThreshold: number };
  readonly securityContext: object;
}

interface Selector {
  readonly matchLabels: object;
}

/** Of the kinds that Kubernetes itself knows. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly replicas: number;
    readonly selector: object;
    readonly strategy: { readonly rollingUpdate: object };
    readonly maxUnavailable: number;
    readonly ports: readonly object[];
    readonly template: {
      readonly metadata: { readonly labels: object };
      readonly spec: {
        readonly terminationGracePeriodSeconds: number;
        readonly securityContext: object;
        readonly containers: readonly [Container];
      };
    };
  };
}

export const kubernetes = 'deploy/kubernetes';
const manifests = ['postgres', 'migrate', 'api'].flatMap((name) => readYaml(`${kubernetes}/${name}.yaml`)) as Manifest[];

const isBuiltIn = ({ apiVersion }: Manifest) => !apiVersion.includes('cnpg.io');
export const builtIn = manifests.filter(isBuiltIn);

export interface Cluster {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly imageName: string;
    readonly instances: number;
    readonly postgresql: { readonly synchronous: { readonly number: number }; readonly parameters: object };
  };
}

export const cluster = manifests.find((manifest) => !isBuiltIn(manifest)) as unknown as Cluster;

export function byKind(kind: string): Manifest {
  const found = builtIn.find((manifest) => manifest.kind === kind);
  if (!found) throw new Error(`there is no ${kind}`);
  return found;
}

/** What selects the pods, in either of the forms that there are. */
export const labelsOf = (selector: object): object => ('matchLabels' in selector ? (selector as Selector).matchLabels : selector);
