import { expect, it } from 'vitest';
import { programCheck } from './check.ts';

it('names each program that is missing, and how to get it', () => {
  const needs = { tools: ['sh', 'pk-no-such-tool'], natives: ['pk-enter', 'pk-ring'] as const };
  expect(programCheck('services', 'services can be published', needs, '/nonexistent')).toEqual({
    id: 'services',
    status: 'missing',
    summary: 'pk-no-such-tool is not installed, pk-enter is not built, pk-ring is not built',
    hint: 'Run `pk setup` to get it. Run `pk setup`.',
  });
});

it('is ok where all are there', () => {
  expect(programCheck('shell', 'there is a shell', { tools: ['sh'] })).toEqual({
    id: 'shell',
    status: 'ok',
    summary: 'there is a shell',
  });
});
