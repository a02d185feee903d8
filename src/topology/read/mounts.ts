/** Which file systems a machine has mounted, and where. */
import type { MachineFiles } from './files.ts';

export interface Mount {
  /** `259:2`; null where only proc/mounts is there. */
  device: string | null;
  /** Directory of the file system that is mounted. */
  root: string;
  point: string;
  type: string;
  source: string;
  /** Of the file system, not of the mount. */
  options: string[];
}

/** proc/self/mountinfo, or proc/mounts, which old snapshots have instead. */
export function readMounts(files: MachineFiles): Mount[] {
  const mountinfo = files.text('proc/self/mountinfo');
  if (mountinfo !== undefined) return mountinfo.split('\n').flatMap(fromMountinfo);
  return (files.text('proc/mounts') ?? '').split('\n').flatMap((line) => {
    const [source, point, type, options] = line.split(' ');
    if (options === undefined) return [];
    return [
      {
        device: null,
        root: '/',
        point: plain(point!),
        type: type!,
        source: plain(source!),
        options: options.split(','),
      },
    ];
  });
}

/** `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`: optional fields end with `-`. */
function fromMountinfo(line: string): Mount[] {
  const fields = line.split(' ');
  const dash = fields.indexOf('-', 6);
  const options = fields[dash + 3];
  if (dash < 0 || options === undefined) return [];
  return [
    {
      device: fields[2]!,
      root: plain(fields[3]!),
      point: plain(fields[4]!),
      type: fields[dash + 1]!,
      source: plain(fields[dash + 2]!),
      options: options.split(','),
    },
  ];
}

/** Space, tab, newline and backslash are written in octal. */
const plain = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)));
