/** What a client has in its environment is to be read in no process of the host that comes of it, and in no guest. */
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hostProcesses } from '../../support/host-processes.ts';
import { freePort } from '../../support/http.ts';
import { Sandbox } from '../../support/pk.ts';

const SECRET = 'hunter2-hunter2';
const readable = (pid: number, file: string) => {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1').split('\0').filter(Boolean);
  } catch {
    // It ended just now.
    return undefined;
  }
};

/** The processes and all below them: a VMM's command line names no state directory. */
function withChildren(pids: readonly number[]): Set<number> {
  const family = new Set(pids);
  const parents = readdirSync('/proc').flatMap((entry) => {
    const parent = /^PPid:\s+(\d+)$/m.exec(readable(Number(entry), 'status')?.join('') ?? '')?.[1];
    return parent === undefined ? [] : [[Number(entry), Number(parent)] as const];
  });
  for (let before = 0; before < family.size; ) {
    before = family.size;
    for (const [pid, parent] of parents) if (family.has(parent)) family.add(pid);
  }
  return family;
}

describe('environments', () => {
  let sandbox: Sandbox;
  beforeAll(async () => {
    sandbox = await Sandbox.create({ SECRET, NODE_OPTIONS: '--no-warnings', LD_DEBUG_OUTPUT: SECRET });
    for (const [name, driver] of Object.entries({ web: 'uml', vm: 'qemu' })) {
      const options = ['--driver', driver, '--memory', '256M', '-p', `${await freePort()}:80`];
      const serve = ['busybox', 'httpd', '-f', '-p', '80', '-h', '/etc'];
      await sandbox.ok('run', '-d', '--name', name, ...options, '--', ...serve);
    }
    await sandbox.ok('channel', 'create', 'orders', '--from', 'web', '--to', 'vm', '--size', '64K');
    await sandbox.ok('service', 'create', 'api', '--port', String(await freePort()), '--target', 'web,vm:80');
  });
  afterAll(() => sandbox[Symbol.asyncDispose]());

  it('of shims, jails, VMMs, keepers, forwards, HAProxy and the daemon hold nothing of the caller', async () => {
    const environments = new Map<string, string[]>();
    for (const pid of withChildren(await hostProcesses(sandbox.home))) {
      const program = readable(pid, 'cmdline')?.[0]?.split('/').at(-1) ?? '';
      const environment = readable(pid, 'environ');
      if (environment !== undefined) environments.set(`${program} ${pid}`, environment);
    }
    const programs = [...environments.keys()].join(' ');
    for (const program of ['node', 'pk-shim', 'bwrap', 'pk-ring', 'pk-forward', 'haproxy', 'linux', 'qemu-system-x86'])
      expect(programs).toContain(program);
    for (const environment of environments.values()) expect(environment.join('\n')).not.toContain(SECRET);
    const jail = /^(pk-shim|bwrap|linux)/;
    // The search path and libraries that a jail itself gives its VMM, and where unpacked programs find theirs.
    const known = /^(PWD=|PATH=\/usr\/bin:\/bin$|LD_LIBRARY_PATH=|LD_PRELOAD=\/vmm\/pk-\w+\.so$)/;
    const others = [...environments]
      .filter(([program]) => jail.test(program))
      .flatMap(([, environment]) => environment);
    expect(others.filter((entry) => !known.test(entry))).toEqual([]);
  });

  it('and their umask is theirs, whatever that of the caller', async () => {
    const seen = new Map<string, Set<string>>();
    for (const pid of withChildren(await hostProcesses(sandbox.home))) {
      const program = readable(pid, 'cmdline')?.[0]?.split('/').at(-1) ?? '';
      const umask = /^Umask:\s+(\d+)$/m.exec(readable(pid, 'status')?.join('') ?? '')?.[1];
      if (umask !== undefined) seen.set(program, (seen.get(program) ?? new Set()).add(umask));
    }
    expect([...seen.get('node')!]).toEqual(['0077']);
    expect([...seen.get('pk-shim')!]).toEqual(['0077']);
    // What a guest writes to a volume has the modes that it gave.
    expect([...seen.get('linux')!]).toEqual(['0000']);
  });

  it.each(['web', 'vm'])('of a process in the guest %s holds nothing of it', async (name) => {
    const told = await sandbox.ok('exec', name, '--', 'sh', '-c', 'cat /proc/1/environ /proc/self/environ');
    expect(told).not.toContain(SECRET);
  });
});
