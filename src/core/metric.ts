/**
 * Numbers for Prometheus as rows: a family has a name, a type and a help text, and says what it is of one thing. Each capability
 * has the rows of its own things in its metrics.ts; the text and the table in docs/telemetry.md are made from them. Names and
 * units follow prometheus.io/docs/practices/naming.
 */
type Labels = Readonly<Record<string, string | number>>;
/** Of one thing; without a value it is left out. */
export type Sample = readonly [labels: Labels, value: number | null | undefined];

export interface FamilyRow {
  type: 'counter' | 'gauge';
  name: string;
  help: string;
}

/** A family of things of one sort. */
export interface FamilyOf<Thing> extends FamilyRow {
  samples(thing: Thing): Iterable<Sample>;
}

/** A family with its numbers as they are now. */
export interface Family extends FamilyRow {
  samples: readonly Sample[];
}

/** What makes rows, each name with `prefix`, each sample with the labels that `thing` has. */
export function familiesFor<Thing>(prefix: string, labels: (thing: Thing) => Labels) {
  const row = (
    type: FamilyRow['type'],
    name: string,
    help: string,
    samples: (thing: Thing) => Iterable<Sample>,
  ): FamilyOf<Thing> => ({
    type,
    name: `${prefix}${name}`,
    help,
    *samples(thing) {
      for (const [own, value] of samples(thing)) yield [{ ...labels(thing), ...own }, value];
    },
  });
  const one =
    (type: FamilyRow['type']) =>
    (name: string, help: string, value: (thing: Thing) => Sample[1]): FamilyOf<Thing> =>
      row(type, name, help, (thing) => [[{}, value(thing)]]);
  return { row, gauge: one('gauge'), counter: one('counter') };
}

/** The families of `rows` with the numbers of all `things`. */
export const familiesOf = <Thing>(rows: readonly FamilyOf<Thing>[], things: readonly Thing[]): Family[] =>
  rows.map((row) => ({ ...row, samples: things.flatMap((thing) => [...row.samples(thing)]) }));

/** In the Prometheus text format 0.0.4, in order; a family without a sample is left out. */
export function metricsText(families: Iterable<Family>): string {
  let text = '';
  for (const { type, name, help, samples } of families) {
    const known = samples.filter(([, value]) => value !== null && value !== undefined);
    if (known.length === 0) continue;
    const escaped = help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n');
    const lines = known.map(([labels, value]) => `${name}${labelsText(labels)} ${numberText(value!)}\n`);
    text += `# HELP ${name} ${escaped}\n# TYPE ${name} ${type}\n${lines.join('')}`;
  }
  return text;
}

export function labelsText(labels: Labels): string {
  const parts = Object.entries(labels).map(
    ([name, value]) => `${name}="${String(value).replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')}"`,
  );
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  // Sums of ticks: not more digits than they have.
  return String(Number(value.toPrecision(15)));
}
