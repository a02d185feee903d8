import { describe, expect, it } from 'vitest';
import { chooseDriver } from '../driver/choose.ts';
import { FAKE_CAPABILITIES, FAKE as FAKE_TRAITS } from '../driver/fake/traits.ts';
import type { Availability, Candidate, Capabilities, DriverTraits, HostFacts } from '../driver/index.ts';
import { QEMU as QEMU_TRAITS } from '../driver/qemu/traits.ts';
import { UML as UML_TRAITS } from '../driver/uml/traits.ts';
import { resolveSpec } from './resolve.ts';

const MIB = 2 ** 20;
const TRAITS: DriverTraits[] = [UML_TRAITS, QEMU_TRAITS, FAKE_TRAITS];
const driver = (
  name: string,
  availability: Partial<Availability>,
  capabilities: Partial<Capabilities> = {},
): Candidate => ({
  traits: { ...TRAITS.find((traits) => traits.name === name)!, defaultImage: `default-${name}` },
  name,
  availability: { available: true, reason: 'works', ...availability },
  capabilities: { ...FAKE_CAPABILITIES, minMemoryBytes: 64 * MIB, maxMemoryBytes: 4096 * MIB, ...capabilities },
});
const KVM = driver('qemu', { accelerator: 'kvm' }, { maxCpus: 8 });
const TCG = driver('qemu', { accelerator: 'tcg' }, { maxCpus: 8 });
const NO_QEMU = driver('qemu', {
  available: false,
  reason: 'QEMU is not installed',
  hint: 'apt-get install qemu-system-x86',
});
const UML = driver('uml', {}, { maxCpus: 1 });
const NO_UML = driver('uml', { available: false, reason: 'linux.uml is missing' });
const FAKE = driver('fake', {});

const facts = (drivers: Candidate[], more: Partial<HostFacts> = {}): HostFacts => ({
  drivers,
  memoryBytes: 8192 * MIB,
  all: TRAITS,
  ...more,
});

describe('auto', () => {
  it.each<[string, Candidate[], number, string, string]>([
    ['KVM works', [KVM, UML], 1, 'qemu', 'KVM works here'],
    ['no KVM, one CPU', [TCG, UML], 1, 'uml', 'KVM does not work here and one CPU is enough'],
    ['no KVM, two CPUs', [TCG, UML], 2, 'qemu', 'UML has one CPU and 2 are wanted'],
    ['no QEMU', [NO_QEMU, UML], 1, 'uml', 'QEMU is not usable here'],
    ['no UML', [TCG, NO_UML], 1, 'qemu', 'UML is not usable here'],
    ['tests', [FAKE], 4, 'fake', 'no real driver'],
  ])('%s', (_what, drivers, cpus, expected, reason) => {
    const choice = chooseDriver('auto', cpus, facts(drivers));
    expect(choice.driver.name).toBe(expected);
    expect(choice.reason).toContain(reason);
  });

  it('follows the image that was named', () => {
    expect(chooseDriver('auto', 1, facts([TCG, UML], { imageKind: 'x86_64' })).driver.name).toBe('qemu');
    expect(chooseDriver('auto', 1, facts([KVM, UML], { imageKind: 'uml' })).driver.name).toBe('uml');
    expect(() => chooseDriver('auto', 2, facts([KVM, UML], { imageKind: 'uml' }))).toThrow(
      'cpus is 2; the most the uml driver gives',
    );
    expect(() => chooseDriver('qemu', 1, facts([KVM], { imageKind: 'uml' }))).toThrow(
      'a kernel for the uml driver, which qemu cannot boot',
    );
  });

  it('says why nothing goes and what would help', () => {
    expect(() => chooseDriver('auto', 1, facts([NO_QEMU, NO_UML]))).toThrow(
      'qemu: QEMU is not installed; uml: linux.uml is missing',
    );
    expect(() => chooseDriver('auto', 2, facts([NO_QEMU, UML]))).toThrow('cpus is 2');
    expect(() => chooseDriver('qemu', 1, facts([NO_QEMU]))).toThrow(
      expect.objectContaining({ code: 'unavailable', hint: 'apt-get install qemu-system-x86' }),
    );
    expect(() => chooseDriver('fake', 1, facts([]))).toThrow('there is no driver fake here');
  });
});

describe('limits', () => {
  const resolve = (request: object, drivers = [TCG, UML], more = {}) =>
    resolveSpec({ command: ['true'], ...request }, 'x', facts(drivers, more));

  it.each<[object, string, string, string]>([
    [
      { driver: 'uml', cpus: 2 },
      'cpus',
      'cpus is 2; the most the uml driver gives one kernel here is 1',
      'Use --driver qemu',
    ],
    [{ cpus: 9 }, 'cpus', 'cpus is 9; the most the qemu driver gives one kernel here is 8', 'Use --cpus 8'],
    [
      { memoryBytes: MIB },
      'memoryBytes',
      'memory is 1 MiB; the least the uml driver can boot with is 64 MiB',
      'from 64 MiB to 4 GiB',
    ],
    [
      { memoryBytes: 5000 * MIB },
      'memoryBytes',
      'memory is 4.9 GiB; the most the uml driver can give is 4 GiB',
      'from 64 MiB',
    ],
  ])('%j', (request, field, message, hint) => {
    expect(() => resolve(request)).toThrow(
      expect.objectContaining({ code: 'invalid', field, message, hint: expect.stringContaining(hint) }),
    );
  });

  it('knows the machine', () => {
    expect(() => resolve({ memoryBytes: 600 * MIB }, [UML], { memoryBytes: 512 * MIB })).toThrow(
      'this machine has 512 MiB',
    );
  });
});

it('fills in the rest', () => {
  expect(resolveSpec({ command: ['true'], env: { PATH: '/bin', A: 'b' }, tty: true }, 'web', facts([UML]))).toEqual({
    name: 'web',
    command: ['true'],
    env: { PATH: '/bin:/run/pk/bin', TERM: 'xterm', A: 'b' },
    cwd: '/',
    cwdOptional: false,
    merged: false,
    user: '0',
    hostname: 'web',
    driver: 'uml',
    driverReason: expect.any(String),
    image: 'default-uml',
    cpus: 1,
    memoryBytes: 256 * MIB,
    elastic: null,
    root: 'host',
    volumes: [],
    restart: 'no',
    heal: 'no',
    priority: 0,
    dependsOn: [],
    standby: false,
    append: null,
    initrd: null,
    cold: false,
    readyTimeoutMs: 60_000,
    stopGraceMs: 10_000,
    healthCommand: null,
    healthIntervalMs: 10_000,
    healthTimeoutMs: 5_000,
    healthRetries: 3,
    healthStartPeriodMs: 10_000,
    attached: false,
    autoRemove: false,
    tty: true,
    rows: 24,
    columns: 80,
    partition: null,
    tenant: null,
    labels: {},
    stack: null,
    channels: [],
    devices: [],
    network: 'none',
    publish: [],
  });
});

it('functions go to drivers that can give them, and speak against memory that goes', () => {
  const drivers = facts([driver('uml', {}, { devices: 'none' }), driver('fake', {}, { devices: 'boot' })]);
  const resolve = (change: object) =>
    resolveSpec({ command: ['x'], devices: ['vf:nvme'], ...change } as never, 'web', drivers);
  expect(resolve({}).driver).toBe('fake');
  expect(() => resolve({ driver: 'uml' })).toThrow(
    expect.objectContaining({ code: 'unsupported', field: 'devices', message: expect.stringContaining('no PCI bus') }),
  );
  const bounds = { min: 2 ** 28, max: 2 ** 29 };
  expect(() => resolve({ elastic: { memoryBytes: bounds }, memoryBytes: 2 ** 28 })).toThrow(
    /that PCI functions write to/,
  );
  expect(() => resolve({ devices: ['vf:nvme=a', '3b:00.1=a'] })).toThrow(/two devices are called a/);
});

describe('a partition', () => {
  const partition = {
    cpus: { kind: 'count', count: 2, numa: null, smt: 'whole-core', cache: 'any', near: null },
    memory: { kind: 'size', bytes: 2 ** 29, node: null, hugePageBytes: null },
    devices: [],
  } as const;
  const machine = facts([driver('uml', {}, { maxCpus: 1, hugePages: false, devices: 'none' }), driver('fake', {})]);
  const resolve = (change: object, name = 'fake') =>
    resolveSpec({ command: ['x'], driver: name, partition: { ...partition, ...change } } as never, 'web', machine);

  it('says how many vCPUs and how much memory', () => {
    expect(resolve({})).toMatchObject({ cpus: 2, memoryBytes: 2 ** 29, partition });
    expect(resolve({ cpus: { kind: 'exact', cpus: [4, 5, 7] } })).toMatchObject({ cpus: 3 });
    expect(resolve({ cpus: { kind: 'shared', milliCpus: 1200, weight: 100 } })).toMatchObject({ cpus: 2 });
  });

  it('is refused what the driver cannot do', () => {
    const one = { cpus: { ...partition.cpus, count: 1 } };
    const huge = { ...one, memory: { ...partition.memory, hugePageBytes: 2 ** 21 } };
    expect(() => resolve(huge, 'uml')).toThrow(expect.objectContaining({ code: 'unsupported' }));
    expect(() => resolve({}, 'uml')).toThrow(/2/);
    const devices = [{ kind: 'address', address: '0000:01:00.0' }];
    expect(() => resolve({ ...one, devices }, 'uml')).toThrow(
      expect.objectContaining({ code: 'unsupported', field: 'partition.devices' }),
    );
    expect(resolve({ devices }).partition!.devices).toEqual(devices);
  });
});

it('published ports need a network, and bring one along', () => {
  const publish = [{ hostPort: 8080, guestPort: 80 }];
  const spec = resolveSpec({ command: ['true'], publish }, 'web', facts([UML]));
  expect(spec).toMatchObject({ network: 'private', publish: [{ hostAddress: '127.0.0.1', hostPort: 8080 }] });
  const without = { command: ['true'], publish, network: 'none' as const };
  expect(() => resolveSpec(without, 'web', facts([UML]))).toThrow(/has no network/);
});

describe('what may change while it runs', () => {
  const FIXED = driver('uml', {}, { maxCpus: 1, cpuResize: 'none', memoryResize: 'none' });
  const memoryBytes = { min: 128 * MIB, max: 512 * MIB };
  const resolve = (elastic: object, drivers: Candidate[], more = {}) =>
    resolveSpec({ command: ['x'], elastic, ...more }, 'web', facts(drivers));

  it('is the kernel of a driver that can', () => {
    expect(resolve({ memoryBytes }, [TCG, FIXED])).toMatchObject({
      driver: 'qemu',
      elastic: { cpus: null, memoryBytes },
    });
    expect(resolve({ cpus: { min: 1, max: 4 } }, [TCG, FIXED])).toMatchObject({ driver: 'qemu', cpus: 1 });
    expect(resolve({}, [TCG, FIXED])).toMatchObject({ driver: 'uml', elastic: null });
  });

  it('is refused where none can, or the machine cannot be made so large', () => {
    expect(() => resolve({ memoryBytes }, [FIXED])).toThrow('the uml driver cannot change the memory');
    expect(() => resolve({ memoryBytes }, [TCG, FIXED], { driver: 'uml' })).toThrow('cannot change the memory');
    expect(() => resolve({ cpus: { min: 1, max: 64 } }, [TCG])).toThrow('cpus is 64');
    expect(() => resolve({ memoryBytes: { min: 128 * MIB, max: 2 ** 40 } }, [TCG])).toThrow('memory is 1 TiB');
  });

  it('is memory in the pieces in which the driver has it, and no share where CPUs are whole', () => {
    const BLOCKS = driver('qemu', {}, { memoryResize: 'blocks', memoryStepBytes: 128 * MIB, shares: false });
    const bounds = { min: 128 * MIB, max: 512 * MIB };
    expect(resolve({ memoryBytes: bounds }, [BLOCKS], { memoryBytes: 256 * MIB })).toMatchObject({ driver: 'qemu' });
    for (const bad of [{ elastic: { ...bounds, max: 500 * MIB } }, { memoryBytes: 200 * MIB }]) {
      const { elastic = bounds, memoryBytes = 256 * MIB } = bad as { elastic?: object; memoryBytes?: number };
      expect(() => resolve({ memoryBytes: elastic }, [BLOCKS], { memoryBytes })).toThrow('changes memory by 128 MiB');
    }
    const memory = { kind: 'size', bytes: 256 * MIB, node: null, hugePageBytes: null };
    const partition = { cpus: { kind: 'shared', milliCpus: 500, weight: 100 }, memory, devices: [] };
    const request = { command: ['x'], partition } as Parameters<typeof resolveSpec>[0];
    expect(() => resolveSpec(request, 'web', facts([BLOCKS]))).toThrow('not a share of some');
  });
});
