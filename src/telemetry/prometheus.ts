/** Metrics in the text format that Prometheus scrapes (version 0.0.4). Pure. */
export interface Metric {
  /** With its unit, base units, and `_total` for counters, as https://prometheus.io/docs/practices/naming/ says. */
  name: string;
  help: string;
  type: 'counter' | 'gauge';
  values: { labels: Readonly<Record<string, string>>; value: number }[];
}

export const PROMETHEUS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export function prometheusText(metrics: readonly Metric[]): string {
  const lines = metrics.flatMap(({ name, help, type, values }) =>
    values.length === 0
      ? []
      : [
          `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}`,
          `# TYPE ${name} ${type}`,
          ...values.map(({ labels, value }) => `${name}${labelText(labels)} ${value}`),
        ],
  );
  return `${lines.join('\n')}\n`;
}

function labelText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(
    ([name, value]) => `${name}="${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`,
  );
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}
