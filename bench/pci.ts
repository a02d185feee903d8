/**
 * Inventories of a physical function and its modelled virtual ones: transactions that we and lspci need for the same text, before and after
 * a restart. No hardware: the functions have the capabilities of those of QEMU's NVMe controller and registers as the specification has
 * them, and transactions have the price of a model.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openConfigSpace } from '../src/pci/index.ts';
import { run } from '../src/sys/process.ts';
import { toolPath } from '../src/sys/tools.ts';
import { ModelBus } from '../test/support/pci-bus.ts';
import { addressOf, expressBody, image } from '../test/support/pci-images.ts';
import { atMost, type Bench, median } from './row.ts';

const MANY = 2048;
const FEW = 256;
const ROUNDS = 11;
/** Microseconds of a transaction: an endpoint of silicon, and one that firmware answers for. */
const PRICES = [1, 17];

/** MSI-X, power management, PCI Express, ARI: as QEMU's nvme has for each of its virtual functions. */
function virtualFunction(): Uint8Array {
  const bytes = image({
    standard: [
      { id: 0x11, body: [0, 0, 0, 0x20, 0, 0, 0, 0x30, 0, 0] },
      { id: 0x01, body: [3, 0, 8, 0, 0, 0] },
      { id: 0x10, body: expressBody() },
    ],
    extended: [{ id: 0x0e, body: [0, 2, 0, 0] }],
  });
  bytes.fill(0xff, 0, 4);
  bytes.fill(0, 0x3c, 0x40);
  return bytes;
}

/** It moves and numbers its virtual functions, and knows no groups of functions. */
const physicalFunction = (): Uint8Array =>
  image({
    standard: [{ id: 0x10, body: expressBody() }],
    extended: [
      { id: 0x0e, body: [0, 1, 0, 0] },
      { id: 0x10, body: Array(0x3c).fill(0) },
    ],
  });

/** The physical function and `count` virtual ones. */
const imagesOf = (count: number): Uint8Array[] => [
  physicalFunction(),
  ...Array.from({ length: count }, virtualFunction),
];

function busOf(count: number): ModelBus {
  const bus = new ModelBus();
  for (const [index, bytes] of imagesOf(count).entries())
    bus.add(addressOf(index), bytes, index === 0 ? {} : { physicalFunction: addressOf(0) });
  return bus;
}

/** All decoded, as a process that starts with what another left in `store`. */
function inventory(bus: ModelBus, store: string) {
  const reads = bus.reads;
  const [began, used] = [performance.now(), process.cpuUsage()];
  // Decoding takes longer than the bound: time stands still, as what is compared is transactions.
  const space = openConfigSpace({ place: bus.place(), store, boot: 'bench', now: () => 0 });
  const before = space.statistics();
  for (const address of space.addresses()) space.function(address).decode({ registers: true });
  const { constantReads } = space.statistics();
  space.close();
  const { user, system } = process.cpuUsage(used);
  return {
    ms: performance.now() - began,
    cpuUs: user + system,
    reads: bus.reads - reads,
    constantReads: constantReads - before.constantReads,
  };
}

/** Transactions and milliseconds of `lspci -vvv` on `count` of the same functions, as files below `directory`. */
async function lspci(count: number, directory: string) {
  for (const [index, config] of imagesOf(count).entries()) {
    const of = join(directory, 'devices', addressOf(index));
    mkdirSync(of, { recursive: true });
    const files = { vendor: '0x1b36', device: '0x0010', class: '0x010802', irq: '0', config };
    for (const [name, content] of Object.entries(files)) writeFileSync(join(of, name), content);
    writeFileSync(join(of, 'resource'), '0x0000000000000000 0x0000000000000000 0x0000000000000000\n'.repeat(7));
  }
  const [library, counted] = [join(directory, 'count.so'), join(directory, 'counted')];
  const source = join(import.meta.dirname, 'count-reads.c');
  const built = await run(['gcc', '-O2', '-shared', '-fPIC', '-o', library, source, '-ldl']);
  if (built.code !== 0) throw new Error(`gcc: ${built.stderr}`);
  const tool = toolPath('lspci');
  const args = ['-A', 'linux-sysfs', '-O', `sysfs.path=${directory}`, '-vvv', '-n'];
  const began = performance.now();
  execFileSync(tool.path, args, {
    env: { ...process.env, ...tool.env, LD_PRELOAD: library, PK_COUNT: counted },
    maxBuffer: 2 ** 28,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return { ms: performance.now() - began, reads: Number(readFileSync(counted, 'utf8')) };
}

export const pci: Bench = async (progress) => {
  const directory = mkdtempSync(join(tmpdir(), 'pk-bench-pci-'));
  try {
    progress(`pci: lspci on ${MANY} functions`);
    const theirs = await lspci(MANY, directory);
    progress(`pci: inventories of ${FEW} and ${MANY} functions`);
    const [few, many, again]: number[][] = [[], [], []];
    const [fewOnBus, manyOnBus] = [busOf(FEW), busOf(MANY)];
    let [first, second] = [inventory(fewOnBus, join(directory, 'warm')), inventory(fewOnBus, join(directory, 'warm'))];
    for (let round = 0; round < ROUNDS; round++) {
      for (let part = 0; part < MANY / FEW; part++)
        few!.push(inventory(fewOnBus, join(directory, `few${round}-${part}`)).cpuUs / FEW);
      first = inventory(manyOnBus, join(directory, `many${round}`));
      many!.push(first.cpuUs / MANY);
      second = inventory(manyOnBus, join(directory, `many${round}`));
      again!.push(second.ms);
    }
    const stateMs = (us: number) => (second.reads * us) / 1000;
    const theirMs = (us: number) => theirs.ms + (theirs.reads * us) / 1000;
    const peer = { peer: 'lspci -vvv', peerValue: theirs.reads, unit: 'reads' };
    return [
      atMost(1, { ...peer, name: `transactions of the first inventory of ${MANY} modelled VFs`, value: first.reads }),
      atMost(0, {
        name: 'of the second, after a restart: of constants',
        value: second.constantReads,
        unit: 'reads',
        peer: 'the first',
        peerValue: first.reads,
        of: 'value',
        note: `${second.reads} in all: of what can be written or changes by itself`,
      }),
      ...PRICES.map((us) =>
        atMost(0.1, {
          name: `wall time of the second, at ${us} us a transaction`,
          value: median(again!) + stateMs(us),
          unit: 'ms',
          peer: 'lspci -vvv',
          peerValue: theirMs(us),
          note: `state that others may have changed is asked for, as lspci does: that alone ${(stateMs(us) / theirMs(us)).toFixed(3)} x, and ${(second.reads / theirs.reads).toFixed(3)} x of its reads`,
        }),
      ),
      atMost(2, {
        name: `CPU time for a function of ${MANY}`,
        value: Math.min(...many!),
        unit: 'us',
        peer: `of ${FEW}`,
        peerValue: Math.min(...few!),
        note: 'the least of some rounds; what grew by the square would have 8',
      }),
    ];
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
};
