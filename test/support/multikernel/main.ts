/** The model of the kernel as a process: its own, so that files of it can be read by a process that waits for them. */
import { spawnSync } from 'node:child_process';
import { accessSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { Consoles } from './consoles.ts';
import { Files } from './files.ts';
import { Errno, FuseServer } from './fuse.ts';
import { bootUml, type Guest } from './guest.ts';
import { type Instance, KernelModel } from './model.ts';
import { AS_READ, MACHINE, type ModelMachine, type Switches } from './switches.ts';
import { passed, serveVsock } from './vsock.ts';

export interface Setup {
  mount: string;
  /** A directory for what stands for vsock: a socket per instance, by its id. */
  lines: string;
  machine?: Partial<ModelMachine>;
  switches?: Partial<Switches>;
  /** Whether kernels really run, and the program of User Mode Linux that they are then. */
  guests: { uml: string } | 'none';
}

export type Call =
  | { call: 'load'; id: number; kernel: string; initramfs: string; commandLine: string }
  | { call: 'unload' | 'boot' | 'halt' | 'force'; id: number }
  /** What a test asks of it: to read its state, to make its guests deaf, to have one end by itself, to change how it behaves. */
  | { call: 'state' }
  | { call: 'deaf'; deaf: boolean }
  | { call: 'ends'; id: number; as: 'loaded' | 'failed' }
  | { call: 'faults'; faults: Record<string, number>; seed: number }
  | { call: 'end' };

const setup = JSON.parse(process.argv[2]!) as Setup;
const model = new KernelModel({ ...MACHINE, ...setup.machine }, { ...AS_READ, ...setup.switches });
const guests = new Map<number, Guest & { pid?: number }>();
let deaf = false;

const consoles: Consoles = new Consoles({
  isKnown: (id) => model.byId(id) !== undefined,
  toKernel: (id, data) => guests.get(id)?.write(data) ?? true,
  wake: (handle) => server.wake(handle),
});
const files = new Files(model, consoles);
const server = new FuseServer(files);

function known(id: number): Instance {
  const instance = model.byId(id);
  if (instance === undefined) throw new Errno('ENOENT');
  return instance;
}

const images = mkdtempSync(join(tmpdir(), 'pk-mk-images-'));
const loaded = (id: number) => join(images, String(id));

function load({ id, kernel, initramfs, commandLine }: Extract<Call, { call: 'load' }>): void {
  const instance = known(id);
  if (instance.image !== undefined || instance.dangling) throw new Errno('EBUSY');
  try {
    if (model.fails('load')) throw new Errno('ENOMEM');
    accessSync(kernel);
    // What is loaded is in memory: the files may go.
    copyFileSync(initramfs, loaded(id));
  } catch (error) {
    instance.dangling = model.switches.danglingImage;
    throw error instanceof Errno ? error : new Errno('ENOENT');
  }
  instance.image = { kernel, initramfs: loaded(id), commandLine };
  instance.status = 'loaded';
}

function unload(id: number): void {
  const instance = known(id);
  if (model.fails('unload')) throw new Errno('EBUSY');
  if (instance.image === undefined && !instance.dangling) throw new Errno('ENOENT');
  // The kernel does not look whether it runs.
  rmSync(loaded(id), { force: true });
  instance.image = undefined;
  instance.dangling = false;
  instance.status = 'ready';
}

function boot(id: number): void {
  const instance = known(id);
  if (model.fails('boot') || instance.status !== 'loaded' || instance.unparked > 0) throw new Errno('EBUSY');
  if (instance.image === undefined || instance.cpus.length === 0) throw new Errno('EINVAL');
  instance.status = 'active';
  instance.bootPool = new Set(model.poolCpus);
  instance.used = instance.regions.map(({ base, bytes }) => ({ base, bytes }));
  if (setup.guests === 'none') return;
  const { initramfs, commandLine } = instance.image;
  const memoryBytes = instance.regions.reduce((sum, { bytes }) => sum + bytes, 0);
  const { vsock } = model.switches;
  const guest = bootUml({
    program: setup.guests.uml,
    directory: images,
    initramfs,
    commandLine,
    memoryBytes,
    said: (data) => consoles.said(id, data),
    ...(vsock !== 'none' && {
      vsock: (line: Duplex) => serveVsock(join(setup.lines, String(id)), line, vsock),
    }),
    ended: () => {
      if (guests.get(id) === guest) guests.delete(id);
      if (instance.status === 'active') instance.status = 'loaded';
    },
  });
  guests.set(id, guest);
}

/** A kernel that is told to stop does so, unless it hangs. */
async function halt(id: number): Promise<void> {
  const instance = known(id);
  if (instance.status !== 'active') throw new Errno('EINVAL');
  if (deaf || model.fails('halt')) throw new Errno(model.switches.haltTimesOutWith);
  stopped(instance);
}

function stopped(instance: Instance): void {
  instance.status = 'loaded';
  guests.get(instance.id)?.kill();
  guests.delete(instance.id);
}

function force(id: number): void {
  const instance = known(id);
  if ((instance.status !== 'active' && instance.status !== 'loaded') || instance.cpus.length === 0)
    throw new Errno('EINVAL');
  if (instance.status === 'active') instance.unparked = model.switches.parksAfter;
  instance.unparked = Math.max(0, instance.unparked - 1);
  stopped(instance);
}

const state = () => ({
  online: [...model.online],
  poolCpus: [...model.poolCpus],
  freeCpus: model.freeCpus(),
  poolFunctions: [...model.poolFunctions],
  chunks: model.chunks,
  instances: [...model.instances.values()].map(({ bootPool, image, ...rest }) => ({ ...rest, image })),
  guests: [...guests.values()].flatMap(({ pid }) => pid ?? []),
  dropped: consoles.dropped,
  /** Bytes that passed by what stands for vsock. */
  byVsock: passed.bytes,
  rolledBack: files.rolledBack,
});
export type ModelState = ReturnType<typeof state>;

async function carryOut(call: Call): Promise<unknown> {
  switch (call.call) {
    case 'load':
      return load(call);
    case 'unload':
      return unload(call.id);
    case 'boot':
      return boot(call.id);
    case 'halt':
      return halt(call.id);
    case 'force':
      return force(call.id);
    case 'state':
      return state();
    case 'deaf':
      deaf = call.deaf;
      return;
    case 'ends':
      stopped(known(call.id));
      known(call.id).status = call.as;
      return;
    case 'faults':
      model.faults = call.faults;
      return model.seed(call.seed);
    case 'end':
      return end();
  }
}

async function end(): Promise<void> {
  for (const guest of guests.values()) guest.kill();
  rmSync(images, { recursive: true, force: true });
  spawnSync('umount', ['-l', setup.mount]);
}

process.on('message', ({ number, call }: { number: number; call: Call }) => {
  carryOut(call).then(
    (result) => process.send!({ number, result }),
    (error) => process.send!({ number, errno: error instanceof Errno ? error.name : String(error?.stack) }),
  );
});
process.on('disconnect', () => {
  void end().then(() => process.kill(process.pid, 'SIGKILL'));
});
await server.mount(setup.mount);
process.send!({ number: 0 });
