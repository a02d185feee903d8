/**
 * The rate of this host's time-stamp counter. An emulated processor's counter is the host's, and its kernel is told the
 * rate instead of measuring it for a tenth of a second at each boot: a wrong one makes all its clocks run wrong by as much.
 */
import { PolykernelError } from '../../sys/errors.ts';
import { nativeBinary } from '../../sys/paths.ts';
import { run } from '../../sys/process.ts';
import { oncePerBoot } from './once-per-boot.ts';

const DEADLINE_MS = 10_000;
/** Of four digits, so that what is measured anew is the same: wrong by 0.05 % at most. */
const DIGITS = 4;
const MAX_KHZ = 100_000_000;

/**
 * In kHz, rounded to four digits; kept in the file `cache` for this boot of the host. null where the counter is of no use
 * to tell time, so that a guest has to find that out, and another clock.
 */
export async function tscKhz(cache: string, signal?: AbortSignal): Promise<number | null> {
  const found = await oncePerBoot(cache, 'pk-tsc', readRate, () => measure(signal));
  return found.khz;
}

function readRate({ khz }: Record<string, unknown>): { khz: number | null } | undefined {
  if (khz === null) return { khz };
  return typeof khz === 'number' && Number.isSafeInteger(khz) && khz > 0 && khz <= MAX_KHZ ? { khz } : undefined;
}

async function measure(signal?: AbortSignal): Promise<{ khz: number | null }> {
  const { code, stdout, stderr } = await run([nativeBinary('pk-tsc')], { deadlineMs: DEADLINE_MS, signal });
  if (code === 1 && stderr.startsWith('pk-tsc: ')) return { khz: null };
  const rate = readRate({ khz: Number(stdout) });
  if (code === 0 && rate?.khz) return { khz: Number(rate.khz.toPrecision(DIGITS)) };
  throw new PolykernelError('internal', `pk-tsc ended with ${code} and said ${JSON.stringify(stdout || stderr)}`, {
    hint: 'Build it again: npm run setup.',
  });
}
