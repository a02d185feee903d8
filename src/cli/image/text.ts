/** A kernel image in one line, as the commands that get one show it. */
import type { ImageInfo } from '../../image/contract.ts';

export const imageLine = ({ name, version, digest }: ImageInfo): string =>
  `${name}  ${version}  ${digest.slice(0, 12)}\n`;
