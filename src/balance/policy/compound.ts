/** What a factor a second comes to in some seconds. Remembers the last answer: windows are equally long, and powers are dear. */
export function compound(aSecond: number): (seconds: number) => number {
  let last = 0;
  let factor = 1;
  return (seconds) => {
    if (seconds === last) return factor;
    last = seconds;
    factor = aSecond ** seconds;
    return factor;
  };
}
