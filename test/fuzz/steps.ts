/** Work counted in steps, which repeat exactly where time does not: how often each block of our code ran. */
import { Session } from 'node:inspector';

/** On the shortest input a decoder builds patterns and tables. */
const STEPS = { base: 20_000, perByte: 200 };

interface Coverage {
  result: { url: string; functions: { ranges: { count: number }[] }[] }[];
}

/** Steps of `act` in files below src/. */
export async function countSteps(act: () => Promise<unknown>): Promise<number> {
  const session = new Session();
  session.connect();
  const post = (method: string, parameters = {}) =>
    new Promise<Coverage>((resolve, reject) =>
      session.post(method, parameters, (error, value) => (error ? reject(error) : resolve(value as Coverage))),
    );
  try {
    await post('Profiler.enable');
    await post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
    await act();
    const { result } = await post('Profiler.takePreciseCoverage');
    await post('Profiler.stopPreciseCoverage');
    const ours = result.filter(({ url }) => url.includes('/src/') && !url.includes('/node_modules/'));
    const ranges = ours.flatMap(({ functions }) => functions.flatMap((each) => each.ranges));
    return ranges.reduce((sum, { count }) => sum + count, 0);
  } finally {
    session.disconnect();
  }
}

export const mostSteps = (bytes: number, { base, perByte } = STEPS): number => base + perByte * bytes;
