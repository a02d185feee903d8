/** How the link of a function does, and which errors it has reported, as the kernel counts them (Documentation/ABI/testing/sysfs-bus-pci*). Pure. */

export interface FunctionHealth {
  /** Null where it has none, as within a chip, or does not say. */
  link: Link | null;
  /** Since the function was found; null where it has no AER, or the kernel does not handle it. */
  errors: ReportedErrors | null;
}

export interface Link {
  /** GT/s, and lanes. */
  speed: number;
  width: number;
  /** What the function could have; the slot may have less. Null = it does not say. */
  mostSpeed: number | null;
  mostWidth: number | null;
}

export const SEVERITIES = ['correctable', 'nonfatal', 'fatal'] as const;
export type Severity = (typeof SEVERITIES)[number];

export interface ReportedErrors extends Readonly<Record<Severity, number>> {
  /** What these are, of those that there were. */
  kinds: readonly { severity: Severity; name: string; count: number }[];
}

const LINK = ['current_link_speed', 'current_link_width', 'max_link_speed', 'max_link_width'] as const;
const ERRORS = SEVERITIES.map((severity) => `aer_dev_${severity}`);

/** Files of a function's directory that say it. */
export const HEALTH_FILES: readonly string[] = [...LINK, ...ERRORS];

/** `lines`: of the files, in the order of HEALTH_FILES; none of one that is not there. */
export function healthOf(lines: readonly (readonly string[])[]): FunctionHealth {
  const [speed, width, mostSpeed, mostWidth] = lines.slice(0, LINK.length).map(([first]) => amount(first));
  const errors = lines.slice(LINK.length);
  return {
    link: speed && width ? { speed, width, mostSpeed: mostSpeed ?? null, mostWidth: mostWidth ?? null } : null,
    errors: errors.some((each) => each.length > 0) ? errorsOf(errors) : null,
  };
}

/** `8.0 GT/s PCIe`, `4`; undefined for `Unknown`, and for 0 and 255, which say as much. */
function amount(text = ''): number | undefined {
  const value = Number(/^(\d{1,3}(\.\d)?)( GT\/s.*)?$/.exec(text.trim())?.[1]);
  return value > 0 && value < 255 ? value : undefined;
}

/** `BadTLP 3`, and their sum as `TOTAL_ERR_COR 3`. */
function errorsOf(files: readonly (readonly string[])[]): ReportedErrors {
  const counted = files.map((lines) =>
    lines.flatMap((line) => {
      const [, name = '', count] = /^(\S{1,32}) (\d{1,19})$/.exec(line.trim()) ?? [];
      return count === undefined ? [] : [{ name, count: Number(count) }];
    }),
  );
  const isSum = (name: string) => name.startsWith('TOTAL_ERR_');
  const sums = counted.map((all) => all.find(({ name }) => isSum(name))?.count ?? 0);
  return {
    ...{ correctable: sums[0] ?? 0, nonfatal: sums[1] ?? 0, fatal: sums[2] ?? 0 },
    kinds: counted.flatMap((all, at) =>
      all.flatMap(({ name, count }) =>
        isSum(name) || count === 0 ? [] : [{ severity: SEVERITIES[at]!, name, count }],
      ),
    ),
  };
}

/** `8 GT/s x4`, and what it could be where that is more. */
export function linkText({ speed, width, mostSpeed, mostWidth }: Link): string {
  const more = (mostSpeed ?? 0) > speed || (mostWidth ?? 0) > width;
  const now = `${speed} GT/s x${width}`;
  return more ? `${now} (of ${mostSpeed ?? speed} GT/s x${mostWidth ?? width})` : now;
}

/** `none`, or `1 fatal, 2 correctable`. */
export function errorsText(errors: ReportedErrors): string {
  const parts = [...SEVERITIES].reverse().flatMap((each) => (errors[each] > 0 ? [`${errors[each]} ${each}`] : []));
  return parts.length === 0 ? 'none' : parts.join(', ');
}
