/** What gets out of a network and not further, without kernels: in namespaces of its own, as root. */
import { spawn } from 'node:child_process';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findTool } from '../../src/sys/tools.ts';
import { compileFrames } from '../support/frames.ts';
import { finished } from '../support/pk.ts';

const isPossible = process.getuid?.() === 0 && ['ip', 'bridge', 'nft'].every((name) => findTool(name) !== undefined);
/** A host of its own: its network, and its /run and /sys. */
const HOST =
  'mount -t tmpfs none /run && mkdir /run/netns && mount -t sysfs none /sys && ip link set lo up && exec "$0" "$@"';

describe.runIf(isPossible)('the way out', () => {
  it('bounds packets that come no further than the host, which tells of all of them at one rate, and connections that end at once', async () => {
    await using directory = await mkdtempDisposable(join(tmpdir(), 'pk-way-out-'));
    const frames = join(directory.path, 'frames');
    await compileFrames(frames);
    const script = [process.execPath, join(import.meta.dirname, '../fixtures/way-out.ts'), frames];
    const { stdout, stderr } = await finished(spawn('unshare', ['--net', '--mount', 'sh', '-c', HOST, ...script]));
    expect(stderr).toBe('');
    const { last, others, remembered } = JSON.parse(stdout);
    expect(last).toBeGreaterThan(20);
    expect(last).toBeLessThan(200);
    expect(others).toBeGreaterThanOrEqual(100);
    expect(remembered).toBeGreaterThan(3500);
    expect(remembered).toBeLessThan(7000);
  }, 60_000);
});
