import { describe, expect, it } from 'vitest';
import { areHalted, HaltedLook, hasSaidSo } from './halted.ts';

const cpu = (number: number, flags: string, halted: number) => `CPU#${number}
RAX=0000000000000000 RBX=0000000000000000 RCX=0000000000000000 RDX=0000000000000000
R12=0000000000000000 R13=0000000000000000 R14=0000000000000000 R15=0000000000000000
RIP=ffffffff81b3b6cb RFL=${flags} [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=${halted}
ES =0000 0000000000000000 00000000 00000000
`;

/** As of one in a program of 32 bits, and of one that was never started. */
const narrow = (number: number, halted: number) => `CPU#${number}
EIP=08048060 EFL=00000202 [-------] CPL=3 II=0 A20=1 SMM=0 HLT=${halted}
ES =0000 00000000 0000ffff 00009300
`;

describe('registers', () => {
  it.each([
    ['of one CPU that halted', cpu(0, '00000046', 1), true],
    ['of two', cpu(0, '00000046', 1) + cpu(1, '00000002', 1), true],
    ['of one that is idle', cpu(0, '00000246', 1), false],
    ['of one that spins with interrupts off', cpu(0, '00000046', 0), false],
    ['of one that is idle beside one that was never started', cpu(0, '00000246', 1) + cpu(1, '00000002', 1), false],
    ['of one that is offline beside one in a program of 32 bits', narrow(0, 0) + cpu(1, '00000046', 1), false],
    ['of one that halted beside one that was not told of', `CPU#0\n${cpu(1, '00000046', 1)}`, false],
    ['that are none', 'HLT=1', false],
    ['of nobody', '', false],
  ])('%s', (_, text, halted) => {
    expect(areHalted(text)).toBe(halted);
  });
});

it('looks after four looks at which nothing was heard, and four later again', () => {
  const look = new HaltedLook();
  expect([1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2].map((heard) => look.isDue(heard))).toEqual([
    ...[false, false, false, false, true, false, false, false, true],
    ...[false, false],
  ]);
});

it.each([
  ['[    5.971713] reboot: System halted\n', true],
  ['reboot: System halted', true],
  ['reboot: System halted\n[    5.98] usb 1-1: reset\n', true],
  ['reboot: Power down\n', false],
  ['', false],
])('what a console says last: %j', (text, halted) => {
  expect(hasSaidSo(text)).toBe(halted);
});
