import { expect, it } from 'vitest';
import { kvmAccess, kvmCheck, tapObstacle } from './checks.ts';

it.each([
  ['denied', /usermod -aG kvm/],
  ['absent', /firmware/],
] as const)('kvm that is %s is warned of with a hint', (access, hint) => {
  expect(kvmCheck(access, 1000)).toEqual({
    id: 'kvm',
    status: 'warn',
    summary: expect.any(String),
    hint: expect.stringMatching(hint),
  });
});

it('kvm is told apart by its device', () => {
  expect(kvmAccess('/nowhere/kvm')).toBe('absent');
  expect(kvmCheck(kvmAccess('/dev/null'), 1000).status).toBe('ok');
});

it('the device of taps is needed by QEMU alone, and what is wrong with it is named', () => {
  expect(tapObstacle('/dev/null')).toBeNull();
  expect(tapObstacle('/nowhere/tun')).toMatchObject({ reason: expect.stringContaining('there is none') });
});
