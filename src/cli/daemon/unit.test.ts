import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { MARK, managed, secretsOf, unitPath, unitText } from './unit.ts';

const line = (text: string, key: string) => text.split('\n').filter((each) => each.startsWith(`${key}=`));

it('writes a unit whose kernels outlive it, with the settings of who installs it and nothing of their shell', () => {
  const env = {
    HOME: '/root',
    PATH: '/usr/bin',
    LD_PRELOAD: 'x',
    POLYKERNEL_NOTE: 'a "b" 100% $HOME \\',
    NOTIFY_SOCKET: '/x',
  };
  const text = unitText('/var/lib/poly $kernel', 'system', env);
  expect(text.startsWith(`${MARK}\n[Unit]\n`)).toBe(true);
  expect(line(text, 'Type')).toEqual(['Type=notify']);
  expect(line(text, 'KillMode')).toEqual(['KillMode=process']);
  expect(line(text, 'WantedBy')).toEqual(['WantedBy=multi-user.target']);
  const [start] = line(text, 'ExecStart');
  expect(start).toContain(`"${process.execPath}"`);
  expect(start).toContain('"=--home" "=/var/lib/poly $$kernel"');
  expect(text).toContain('Environment="POLYKERNEL_NOTE=a \\"b\\" 100%% $HOME \\\\"');
  expect(text).not.toMatch(/LD_PRELOAD|NOTIFY_SOCKET/);
  // Mounts of its own would hide networks and volumes from the host and from the next daemon.
  expect(text).not.toMatch(/^(Protect|Private|ReadOnly|ReadWrite|Inaccessible|Bind|Temporary)/m);
  expect(unitText('/h', 'user', env)).not.toMatch(/CapabilityBoundingSet|OOMScoreAdjust|multi-user/);
  expect(() => unitText('/a\nb', 'system', env)).toThrow(/line feed/);
});

it('holds no password of a proxy, for everybody may read it', () => {
  const env = { HOME: '/root', https_proxy: 'http://ann:secret@proxy:3128', HTTP_PROXY: 'http://proxy:3128' };
  const text = unitText('/h', 'system', env);
  expect(text).not.toContain('secret');
  expect(text).toContain('Environment="HTTP_PROXY=http://proxy:3128"');
  expect(secretsOf(env)).toEqual(['https_proxy']);
});

it('lies where the manager looks', () => {
  expect(unitPath('system')).toBe('/etc/systemd/system/polykernel.service');
  expect(unitPath('user', { HOME: '/home/ann' })).toBe('/home/ann/.config/systemd/user/polykernel.service');
  expect(() => unitPath('user', {})).toThrow(/HOME is not set/);
});

it('knows whose daemon is a unit', () => {
  const root = mkdtempSync(join(tmpdir(), 'pk-proc-'));
  const process = (pid: number, environ: string, cgroup: string) => {
    mkdirSync(join(root, String(pid)));
    writeFileSync(join(root, String(pid), 'environ'), environ);
    writeFileSync(join(root, String(pid), 'cgroup'), cgroup);
  };
  process(1, 'A=1\0NOTIFY_SOCKET=/run/x\0', '0::/system.slice/polykernel.service/daemon\n');
  process(2, 'NOTIFY_SOCKET=/run/x\0', '0::/user.slice/user-7.slice/user@7.service/app.slice/polykernel.service\n');
  process(3, 'X_NOTIFY_SOCKET=/run/x\0', '0::/user.slice/user-7.slice/user@7.service/x\n');
  expect([1, 2, 3, 4].map((pid) => managed(pid, root))).toEqual(['system', 'user', undefined, undefined]);
  rmSync(root, { recursive: true });
});
