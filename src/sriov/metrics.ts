/** Numbers of PCI functions for Prometheus: a row for each family. */
import { type FamilyOf, familiesFor } from '../core/metric.ts';
import { SEVERITIES } from '../pci/health.ts';
import type { SeenHealth } from './watch.ts';

const { row, gauge } = familiesFor<SeenHealth>('polykernel_function_', ({ address }) => ({ function: address }));

export const functionMetrics: readonly FamilyOf<SeenHealth>[] = [
  row(
    'counter',
    'errors_total',
    'Errors that a function with virtual ones, or a leased one, reported (AER).',
    ({ health }) => SEVERITIES.map((severity) => [{ severity }, health.errors?.[severity]] as const),
  ),
  gauge('link_speed_gts', 'Speed of its link in GT/s.', ({ health }) => health.link?.speed),
  gauge('link_width_lanes', 'Lanes of its link.', ({ health }) => health.link?.width),
];
