/** Evidence in the API. */
import { download, get, routes } from '../core/route.ts';
import { count, named, oneOf, orNull, record, text, time, typed } from '../core/schema.ts';
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
    memory: {
      ...orNull(record<NonNullable<Evidence['memory']>>({ mostBytes: count })),
      description: 'What a copy of its memory takes at most; null where none can be had',
    },
  }),
);

export const evidenceApi = routes('health', {
  evidence: get('/v1/instances/:name/evidence', {
    summary: 'What is known of an instance now, to find out later what was wrong with it',
    description: 'It is not disturbed but for the registers, for which its VMM is asked. None of its memory is in it.',
    answer: evidence,
  }),
  getMemory: download('/v1/instances/:name/memory', {
    summary: 'All memory of its kernel, secrets too',
    description:
      'An ELF core of User Mode Linux, or kdump with packed pages as QEMU writes it (`makedumpfile -R`). It is paused meanwhile. One at a time. It breaks off with an error when it fails.',
    produces: 'application/octet-stream',
  }),
});
