/** How this machine gets packages: a fresh system on it gets them the same way. */
import { run } from '../../src/sys/process.ts';

const DEBIAN = 'http://deb.debian.org/debian';

export interface Ways {
  /** Debian's packages. */
  mirror: string;
  /** Lines of apt's configuration: proxies. */
  apt: string;
  registry: string;
  /** File with certificates of authorities that npm and Node trust here; null: those they bring. */
  authorities: string | null;
}

export async function waysOfHost(): Promise<Ways> {
  const targets = ['apt-get', 'indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages'];
  const [uris, config, registry, cafile] = await Promise.all([
    output(targets),
    output(['apt-config', 'dump', '--format', '%F "%v";%n', 'Acquire']),
    output(['npm', 'config', 'get', 'registry']),
    output(['npm', 'config', 'get', 'cafile']),
  ]);
  const mirror = uris.split('\n').find((uri) => /^https?:.*\/debian\/?$/.test(uri)) ?? DEBIAN;
  const apt = config.split('\n').filter((line) => /^Acquire::(\w+::)+Proxy /i.test(line));
  // npm reads its own settings where its Node lies.
  const authorities = cafile === 'null' || cafile === '' ? (process.env.NODE_EXTRA_CA_CERTS ?? null) : cafile;
  return { mirror, apt: apt.join('\n'), registry, authorities };
}

async function output(argv: readonly string[]): Promise<string> {
  return (await run(argv, { env: process.env as Record<string, string>, deadlineMs: 60_000 })).stdout.trim();
}
