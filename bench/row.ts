/** One measured figure. `ratio` is value / peer, both taken in the same run; absolute times mean nothing on a noisy machine. */
export interface Row {
  name: string;
  value: number;
  unit: string;
  /** What it is held against, and that peer's own value in the same unit. */
  peer: string;
  peerValue: number;
  ratio: number;
  /** Human-readable goal: `<= 1.10`. */
  goal: string;
  met: boolean;
  /** What does not change differs by this factor: the row says nothing of what was measured. */
  noise?: number;
  /** Why a goal was missed, or how the figure was taken. */
  note?: string;
}

export type Bench = (progress: (text: string) => void) => Promise<Row[]>;

/** Of two that are nothing it is 1, and of something beside nothing there is none. */
const ratioOf = ({ value, peerValue }: Pick<Row, 'value' | 'peerValue'>): number =>
  value === peerValue ? 1 : value / peerValue;

/** Builds a row whose goal is that value / peer (or the value itself, with `of: 'value'`) is at most `most`. */
export function atMost(
  most: number,
  row: Pick<Row, 'name' | 'value' | 'unit' | 'peer' | 'peerValue' | 'note'> & { of?: 'value' },
): Row {
  const ratio = ratioOf(row);
  const judged = row.of === 'value' ? row.value : ratio;
  const { of, ...rest } = row;
  return { ...rest, ratio, goal: `<= ${most}${of === 'value' ? ` ${row.unit}` : ' x'}`, met: judged <= most };
}

/** Builds a row whose goal is that value / peer is at least `least`. */
export function atLeast(least: number, row: Pick<Row, 'name' | 'value' | 'unit' | 'peer' | 'peerValue' | 'note'>): Row {
  const ratio = ratioOf(row);
  return { ...row, ratio, goal: `>= ${least} x`, met: ratio >= least };
}

/** A row without a goal. */
export const reported = (row: Pick<Row, 'name' | 'value' | 'unit' | 'peer' | 'peerValue' | 'note'>): Row => ({
  ...{ ...row, ratio: ratioOf(row), goal: 'reported', met: true },
});

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
