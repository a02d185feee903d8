import { expect, it } from 'vitest';
import { proxyUid } from '../../src/service/config.ts';
import { FIRST_TOOL_ID, TOOL_IDS } from '../../src/sys/tool-ids.ts';

it('are nobody else’s: above those of kernels, and not HAProxy’s', () => {
  // The last range of src/instance/id-registry.ts ends below.
  expect(FIRST_TOOL_ID).toBeGreaterThanOrEqual(0x7ffd_0000 + 65_536);
  expect(FIRST_TOOL_ID + TOOL_IDS).toBeLessThan(2 ** 31);
  const isTools = proxyUid() >= FIRST_TOOL_ID && proxyUid() < FIRST_TOOL_ID + TOOL_IDS;
  expect(isTools).toBe(false);
});
