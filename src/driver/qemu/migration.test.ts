import { expect, it } from 'vitest';
import { saveState } from './migration.ts';
import type { Qmp } from './qmp.ts';

/** Answers each question for the state of the migration with `state`. */
const saying = (state: unknown) =>
  ({ execute: async (command: string) => (command === 'query-migrate' ? state : {}) }) as unknown as Qmp;
const { signal } = new AbortController();

it.each([
  ['a status that is no text', { status: { toString: 1 } }, 'protocol', /does not say how far/],
  ['a status of lists in lists', { status: [[[]]] }, 'protocol', /does not say how far/],
  ['a reason that is no text', { status: 'failed', 'error-desc': { toString: 1 } }, 'internal', /state: failed$/],
  ['a reason for a terminal', { status: 'failed', 'error-desc': 'no\x1b[2J room' }, 'internal', /state: no room$/],
])('a QEMU that answers with %s is refused at once', async (_, state, code, message) => {
  await expect(saveState(saying(state), 'exec:cat', signal)).rejects.toMatchObject({ code, message });
});

it('the state is written once QEMU says so', async () => {
  await saveState(saying({ status: 'completed' }), 'exec:cat', signal);
});
