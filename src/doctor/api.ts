/** Doctor in the API: what is answered, and the route. */
import { get, routes } from '../core/route.ts';
import { flag, listOf, named, oneOf, orNull, record, text } from '../core/schema.ts';
import type { Availability, DriverFacts } from '../driver/index.ts';
import { capabilities } from '../driver/schema.ts';
import type { DoctorCheck, DoctorReport } from './contract.ts';

const check = record<DoctorCheck>(
  {
    id: text,
    status: oneOf('ok', 'warn', 'missing'),
    summary: text,
    hint: { ...text, description: 'How to get what is missing' },
  },
  ['hint'],
);

const driver = record<DriverFacts>({
  name: text,
  availability: record<Availability>({ available: flag, reason: text, hint: text, accelerator: oneOf('kvm', 'tcg') }, [
    'hint',
    'accelerator',
  ]),
  capabilities,
});

const report = named(
  'DoctorReport',
  record<DoctorReport>({
    checks: listOf(check),
    drivers: listOf(driver),
    auto: record<DoctorReport['auto']>({ driver: orNull(text), reason: text }),
  }),
);

export const doctorApi = routes('system', {
  doctor: get('/v1/doctor', { summary: 'What this machine can do and what it lacks', answer: report }),
});
