/** What others see of doctor. */
import type { Check } from '../core/check.ts';
import type { DriverFacts } from '../driver/index.ts';

export type { Check as DoctorCheck } from '../core/check.ts';

export interface DoctorReport {
  checks: Check[];
  drivers: DriverFacts[];
  /** What `--driver auto` picks for one CPU, and why. */
  auto: { driver: string | null; reason: string };
}
