/** Giving units one at a time to whoever stands highest, without giving them one at a time. */

/**
 * Gives `supply` whole units, each to the one with the highest `height` who still wants one; a unit lowers its height by one.
 * Ties go to the first. `heights` and `wants` are whole numbers; the answer says how many each got.
 *
 * Max-min fairness is the case of equal heights: https://www.usenix.org/conference/osdi23/presentation/vuppalapati begins there.
 */
export function level(heights: ArrayLike<number>, wants: ArrayLike<number>, supply: number): Float64Array {
  const count = heights.length;
  const got = new Float64Array(count);
  let total = 0;
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let index = 0; index < count; index++) {
    total += wants[index]!;
    if (wants[index]! === 0) continue;
    low = Math.min(low, heights[index]! - wants[index]!);
    high = Math.max(high, heights[index]!);
  }
  if (total <= supply) {
    for (let index = 0; index < count; index++) got[index] = wants[index]!;
    return got;
  }
  // The lowest water line at which all above it, taken off, is still within the supply.
  while (low < high) {
    const line = Math.floor((low + high) / 2);
    if (above(heights, wants, line) <= supply) high = line;
    else low = line + 1;
  }
  let rest = supply;
  for (let index = 0; index < count; index++) {
    got[index] = Math.max(0, Math.min(wants[index]!, heights[index]! - low));
    rest -= got[index]!;
  }
  // Those who stand on the line get one more each, as far as it goes.
  for (let index = 0; index < count && rest > 0; index++) {
    if (got[index]! < wants[index]! && heights[index]! - got[index]! === low) {
      got[index]!++;
      rest--;
    }
  }
  return got;
}

function above(heights: ArrayLike<number>, wants: ArrayLike<number>, line: number): number {
  let sum = 0;
  for (let index = 0; index < heights.length; index++) {
    sum += Math.max(0, Math.min(wants[index]!, heights[index]! - line));
  }
  return sum;
}
