import { fstatSync, openSync } from 'node:fs';
import { expect, it } from 'vitest';
import { type Kernel, type LaunchSpec, UnusableTemplate } from '../driver/index.ts';
import { PolykernelError } from '../sys/errors.ts';
import type { InstanceRecord } from './record.ts';
import { type Starting, startKernel } from './start-kernel.ts';

const broken = new PolykernelError('kernel-died', 'load of migration failed');

/** Starts with a driver of these answers: what it was started with, and the leases it had. */
async function start(...answers: (Kernel | Error)[]) {
  const given: Pick<LaunchSpec, 'cold' | 'rootLease'>[] = [];
  const leases: number[] = [];
  const environment = {
    prepareLaunch: async (_record: unknown, _signal: unknown, _progress: unknown, hold: (lease: number) => void) => {
      leases.push(openSync('/dev/null', 'r'));
      hold(leases.at(-1)!);
      return { launch: { cold: false, image: { digest: 'd' } }, kept: {} };
    },
    driver: {
      start: async ({ cold, rootLease }: LaunchSpec) => {
        given.push({ cold, rootLease });
        const answer = answers[given.length - 1]!;
        if (answer instanceof Error) throw answer;
        return answer;
      },
    },
  } as unknown as Starting['environment'];
  const rest = { signal: new AbortController().signal, progress: () => {}, keep: () => {} };
  const record = () => ({}) as InstanceRecord;
  const result = await startKernel({ environment, record, ...rest }).catch((error) => error);
  // Closed before, whatever came of it; the number may be another's by now.
  for (const lease of new Set(leases)) expect(() => fstatSync(lease)).toThrow(/EBADF/);
  return { result, given: given.map(({ cold }) => cold) };
}

it('boots what was to be cloned from a template that proves to be of no use, once', async () => {
  const kernel = {} as Kernel;
  expect(await start(kernel)).toEqual({ result: kernel, given: [false] });
  expect(await start(new UnusableTemplate(broken), kernel)).toEqual({ result: kernel, given: [false, true] });
  const again = new UnusableTemplate(broken);
  expect(await start(new UnusableTemplate(broken), again)).toEqual({ result: again, given: [false, true] });
  expect(await start(broken)).toEqual({ result: broken, given: [false] });
});
