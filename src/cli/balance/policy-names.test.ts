import { expect, it } from 'vitest';
import { POLICIES } from '../../balance/contract.ts';
import { POLICY_NAMES } from './policy-names.ts';

it('offers all policies by name where none is loaded', () => {
  expect(POLICY_NAMES).toEqual(POLICIES.map(({ name }) => name));
});
