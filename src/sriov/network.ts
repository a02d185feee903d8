/** Settings of virtual functions of a network card, which its driver keeps with the physical one: read, changed and read back by `ip`. */
import { PolykernelError } from '../sys/errors.ts';
import { run } from '../sys/process.ts';
import { toolPath } from '../sys/tools.ts';
import { DEVICES } from './functions.ts';
import { type NetworkSettings, otherwise, settingCommands, settingsText, shownSettings } from './network-settings.ts';
import type { Sysfs } from './sysfs.ts';

/** Runs `ip` with arguments; its output. Rejects with `unavailable` with what it said. */
export type RunIp = (...args: string[]) => Promise<string>;

const DEADLINE_MS = 30_000;

/** Of this machine. */
export const hostIp: RunIp = async (...args) => {
  const tool = toolPath('ip');
  const { code, stdout, stderr } = await run([tool.path, ...args], { deadlineMs: DEADLINE_MS, env: tool.env });
  if (code === 0) return stdout;
  const said = stderr.trim().replace(/^RTNETLINK answers: /, '');
  throw new PolykernelError('unavailable', `ip ${args.join(' ')}: ${said.slice(0, 300)}`, {
    hint: 'What a card can do depends on its driver: the end of `dmesg` says more.',
  });
};

/** A virtual function: whose, and which. */
export interface Virtual {
  physicalFunction: string;
  index: number;
}

/**
 * What `of` has now. Rejects with `unsupported` where its physical function is no network card with a driver, and `unavailable` when `ip` does not say:
 * of more than some 220 virtual functions of one card no answer of the kernel has room.
 */
export async function readNetwork(sysfs: Sysfs, ip: RunIp, of: Virtual): Promise<NetworkSettings> {
  const shown = await ip('-j', 'link', 'show', 'dev', await interfaceOf(sysfs, of));
  const found = shownSettings(parsed(shown), of.index);
  if (found !== undefined) return found;
  throw new PolykernelError(
    'unavailable',
    `\`ip\` says nothing of virtual function ${of.index} of ${of.physicalFunction}`,
    { field: 'device', hint: 'The kernel tells of at most some 220 of one card.' },
  );
}

/** Has it all as `wanted`, read back; what was changed before a failure is changed back. Gives what it was. Rejects as readNetwork(). */
export async function writeNetwork(
  sysfs: Sysfs,
  ip: RunIp,
  of: Virtual,
  wanted: NetworkSettings,
): Promise<NetworkSettings> {
  const before = await readNetwork(sysfs, ip, of);
  const name = await interfaceOf(sysfs, of);
  const set = async (to: NetworkSettings, from: NetworkSettings) => {
    for (const words of settingCommands(otherwise(to, from), from))
      await ip('link', 'set', 'dev', name, 'vf', String(of.index), ...words);
  };
  try {
    await set(wanted, before);
    const now = await readNetwork(sysfs, ip, of);
    const left = otherwise(wanted, now);
    if (Object.keys(left).length === 0) return before;
    throw new PolykernelError('unavailable', `the driver took ${settingsText(left)} and did not do it`, {
      field: 'device',
    });
  } catch (error) {
    await readNetwork(sysfs, ip, of)
      .then((now) => set(before, now))
      .catch(() => {});
    throw error;
  }
}

async function interfaceOf(sysfs: Sysfs, { physicalFunction }: Virtual): Promise<string> {
  const [name] = await sysfs.list(`${DEVICES}/${physicalFunction}/net`);
  if (name !== undefined) return name;
  throw new PolykernelError('unsupported', `${physicalFunction} is no network card with a driver of the host`, {
    field: 'device',
    value: physicalFunction,
    hint: 'Leave the network settings out, or have its driver loaded.',
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new PolykernelError('unavailable', '`ip -j` does not speak JSON here', { hint: 'Update iproute2.', cause });
  }
}
