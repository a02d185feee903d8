import type { Handlers } from '../core/route.ts';
import type { doctorApi } from './api.ts';
import type { DoctorReport } from './contract.ts';

export const doctorHandlers = (examine: () => Promise<DoctorReport>): Handlers<typeof doctorApi> => ({
  doctor: () => examine(),
});
