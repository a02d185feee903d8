/** The headline figures of services and telemetry. */
import { proxy } from './proxy.ts';
import type { Row } from './row.ts';
import { telemetry } from './telemetry.ts';

export async function service(progress: (text: string) => void): Promise<Row[]> {
  return [...(await proxy(progress)), ...(await telemetry(progress))];
}
