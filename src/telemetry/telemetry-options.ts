/** What the environment says of telemetry. */
import { PolykernelError } from '../sys/errors.ts';
import type { MetricsAddress } from './metrics-server.ts';

const DEFAULT_RATE = 2;

/** $POLYKERNEL_SAMPLES_PER_SECOND: 1 to 10, default 2. Throws `invalid`. */
export function samplesPerSecond(env: NodeJS.ProcessEnv): number {
  const text = env.POLYKERNEL_SAMPLES_PER_SECOND;
  if (!text) return DEFAULT_RATE;
  if (/^(?:[1-9]|10)$/.test(text)) return Number(text);
  throw new PolykernelError(
    'invalid',
    `POLYKERNEL_SAMPLES_PER_SECOND: ${JSON.stringify(text)} is not a whole number from 1 to 10`,
    { field: 'POLYKERNEL_SAMPLES_PER_SECOND', value: text, hint: `Leave it unset for ${DEFAULT_RATE}.` },
  );
}

/**
 * $POLYKERNEL_METRICS_LISTEN: ADDRESS:PORT, [V6]:PORT; undefined = the Unix socket alone. $POLYKERNEL_METRICS_NAMES: host names,
 * by commas, under which it is asked besides those it is known to have. Throws `invalid`.
 */
export function metricsAddress(env: NodeJS.ProcessEnv): MetricsAddress | undefined {
  const text = env.POLYKERNEL_METRICS_LISTEN;
  if (!text) return undefined;
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([\w.-]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match !== null && port <= 65_535) return { host: (match[1] ?? match[2])!, port, names: metricsNames(env) };
  throw new PolykernelError('invalid', `POLYKERNEL_METRICS_LISTEN: ${JSON.stringify(text)} is not ADDRESS:PORT`, {
    field: 'POLYKERNEL_METRICS_LISTEN',
    value: text,
    hint: 'Write an address of this machine and a port, such as 127.0.0.1:9464.',
  });
}

function metricsNames(env: NodeJS.ProcessEnv): string[] {
  const text = env.POLYKERNEL_METRICS_NAMES;
  if (!text) return [];
  const names = text.split(',');
  if (names.every((name) => /^[\w.-]+$/.test(name))) return names;
  throw new PolykernelError('invalid', `POLYKERNEL_METRICS_NAMES: ${JSON.stringify(text)} is no list of host names`, {
    field: 'POLYKERNEL_METRICS_NAMES',
    value: text,
    hint: 'Write host names with commas between them, such as node1.example,node1.',
  });
}
