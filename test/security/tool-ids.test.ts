import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { IdRegistry } from '../../src/instance/id-registry.ts';
import { isProxyUid, PROXY_IDS, proxyUid } from '../../src/service/proxy-uid.ts';
import { takenIds } from '../../src/sys/taken-ids.ts';
import { FIRST_TOOL_ID, freeToolId, TOOL_IDS, takeToolId } from '../../src/sys/tool-ids.ts';

const isRoot = process.getuid?.() === 0;
const FIRST_RANGE = 0x7100_0000;
const directories: string[] = [];
const scratch = (): string => {
  const directory = mkdtempSync(join(tmpdir(), 'pk-ids-'));
  directories.push(directory);
  return directory;
};
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

it('are nobody else’s: above those of kernels, and not HAProxy’s', () => {
  // The last range of src/instance/id-registry.ts ends below.
  expect(PROXY_IDS.start).toBeGreaterThanOrEqual(0x7ffd_0000 + 65_536);
  expect(PROXY_IDS.start + PROXY_IDS.count).toBeLessThanOrEqual(FIRST_TOOL_ID);
  expect(FIRST_TOOL_ID + TOOL_IDS).toBeLessThan(2 ** 31);
});

describe('what users of the machine have', () => {
  /** As files of a machine say it. */
  const taken = (files: Record<string, string>) => {
    const etc = scratch();
    for (const [name, text] of Object.entries(files)) writeFileSync(join(etc, name), text);
    return takenIds(etc);
  };

  it.runIf(isRoot)('no tool gets', () => {
    const left = FIRST_TOOL_ID + 7;
    const blocks = taken({
      subuid: `a:${FIRST_TOOL_ID - 100}:105\n`,
      subgid: `b:${left + 2}:${TOOL_IDS}\n`,
      passwd: `c:x:${FIRST_TOOL_ID + 5}:${FIRST_TOOL_ID + 6}:C:/c:/bin/sh\nbroken\n`,
      group: `d:x:${FIRST_TOOL_ID + 8}:\n`,
    });
    const first = takeToolId(blocks);
    expect(first).toBe(left);
    // The only one is shared, rather than another's taken.
    expect(takeToolId(blocks)).toBe(left);
    freeToolId(first);
    expect(() => takeToolId(taken({ subuid: `a:${FIRST_TOOL_ID}:${TOOL_IDS}\n` }))).toThrow(/no user id is free/);
  });

  it('HAProxy is not, nor taken for it', () => {
    const blocks = taken({ subuid: `a:${PROXY_IDS.start - 1}:3\n`, passwd: `b:x:${PROXY_IDS.start + 2}:1::/:\n` });
    const uid = proxyUid(blocks);
    expect(uid).toBe(PROXY_IDS.start + 3);
    expect(isProxyUid(uid, () => blocks)).toBe(true);
    for (const others of [PROXY_IDS.start, PROXY_IDS.start + 2, FIRST_TOOL_ID, 0])
      expect(
        isProxyUid(others, () => blocks),
        String(others),
      ).toBe(false);
    expect(() => proxyUid(taken({ subgid: `a:0:${2 ** 31}\n` }))).toThrow(/no user id is free/);
  });

  it('no kernel gets', () => {
    const blocks = taken({ passwd: `a:x:${FIRST_RANGE + 9}:1::/:\n`, group: `b:x:${FIRST_RANGE + 65_536}:\n` });
    const options = {
      mappable: () => [{ start: 0, count: 2 ** 32 }],
      taken: () => blocks,
      inUse: () => new Set<number>(),
    };
    const registry = new IdRegistry('/home', { file: join(scratch(), 'ids.db'), ...options });
    expect(registry.take('x')).toMatchObject({ start: FIRST_RANGE + 2 * 65_536 });
    registry.close();
  });
});

it('the ids that this machine gives now are nobody else’s', () => {
  const all = takenIds();
  const isTaken = (id: number) => all.some(({ start, count }) => start <= id && id < start + count);
  expect(isTaken(0)).toBe(true);
  expect(isTaken(proxyUid())).toBe(false);
});
