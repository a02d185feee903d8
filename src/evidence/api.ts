/** Evidence in the API. */
import { get, routes } from '../core/route.ts';
import { named, oneOf, orNull, record, text, time, typed } from '../core/schema.ts';
import type { Evidence } from './types.ts';

const whole = typed<object>({ type: 'object', additionalProperties: true });
const several = typed<object[]>({ type: 'array', items: whole });

const evidence = named(
  'Evidence',
  record<Evidence>({
    format: oneOf('polykernel-core'),
    version: oneOf(1),
    at: time,
    status: { ...whole, description: 'As an instance is told, values of its environment hidden' },
    health: { ...whole, description: 'As its health is told' },
    healings: several,
    stats: orNull(whole),
    events: several,
    registers: { ...orNull(text), description: 'Of each vCPU, as the VMM has them' },
    noRegisters: { ...text, description: 'Why there are none' },
  }),
);

export const evidenceApi = routes('health', {
  evidence: get('/v1/instances/:name/evidence', {
    summary: 'What is known of an instance now, to find out later what was wrong with it',
    description: 'It is not disturbed but for the registers, for which its VMM is asked. None of its memory is in it.',
    answer: evidence,
  }),
});
