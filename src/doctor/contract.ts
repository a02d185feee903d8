/** What others see of doctor. */
import type { DriverFacts } from '../driver/index.ts';

export interface DoctorCheck {
  id: string;
  status: 'ok' | 'warn' | 'missing';
  summary: string;
  /** How to get what is missing, as a full sentence. */
  hint?: string;
}

export interface DoctorReport {
  checks: DoctorCheck[];
  drivers: DriverFacts[];
  /** What `--driver auto` picks for one CPU, and why. */
  auto: { driver: string | null; reason: string };
}
