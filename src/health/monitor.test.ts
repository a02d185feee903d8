import { expect, it } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { Kernel, KernelWord } from '../driver/index.ts';
import type { Instance } from '../instance/contract.ts';
import { HealthMonitor, type MonitorOptions } from './monitor.ts';

it.each(['watchdog', 'dumping', 'panic'] as const)('what a VMM says again and again costs no look each: %s', (sign) => {
  const record = { id: 'a'.repeat(32), spec: { healthCommand: null }, machine: { exit: null } };
  const instance = { name: 'web', state: 'running', record } as unknown as Instance;
  let looks = 0;
  const instances = { list: () => [instance], find: () => instance, get: () => instance };
  const monitor = new HealthMonitor({
    instances: () => {
      looks += 1;
      return instances;
    },
    seen: () => undefined,
    events: { tell() {}, listen: () => () => {} },
    clock: new ManualClock(),
    journal: { info() {}, error() {}, close() {} },
  } as unknown as MonitorOptions);
  let say: (word: KernelWord) => void = () => {};
  const heed = (listener: typeof say) => {
    say = listener;
  };
  const kernel = { guest: { on() {} }, exited: new Promise(() => {}), heed } as unknown as Kernel;
  monitor.kernelUp(record, kernel);
  say({ sign, text: 'first' });
  expect(looks).toBe(1);
  for (let time = 0; time < 1_000; time++) say({ sign, text: 'again' });
  expect(looks).toBe(1);
  monitor.close();
});
