/** What a machine lacks, as one thing that a daemon can say: everybody's checks together. */
import type { Check } from '../core/check.ts';
import { served } from '../core/route.ts';
import type { Drivers } from '../driver/drivers.ts';
import { doctorApi } from './api.ts';
import type { DoctorReport } from './contract.ts';
import { doctorHandlers } from './routes.ts';

interface Given {
  /** Checks of the machine itself. */
  host(): Promise<readonly Check[]>;
  drivers: Pick<Drivers, 'report'>;
  /** All that has checks of its own. */
  others(): readonly { checks?(): Promise<readonly Check[]> }[];
}

export function doctorCapability({ host, drivers, others }: Given) {
  const examine = async (): Promise<DoctorReport> => {
    const [first, report, ...rest] = await Promise.all([
      host(),
      drivers.report(),
      ...others().map(({ checks }) => checks?.() ?? []),
    ]);
    return { checks: [...first, ...rest.flat()], ...report };
  };
  return { name: 'doctor', routes: served(doctorApi, doctorHandlers(examine)) };
}
