/** What a daemon sees of the machine: another one may have other mounts and processes, and what is gone for it be there. */
import { readlinkSync } from 'node:fs';
import { hostBootId } from './host-boot.ts';

/** Since when the machine is up, and the namespaces by which a process sees its files and processes. */
export interface View {
  boot: string;
  namespaces: string;
}

/** Of this process. */
export function ownView(): View {
  const namespaces = ['mnt', 'pid'].map((kind) => readlinkSync(`/proc/self/ns/${kind}`)).join(' ');
  return { boot: hostBootId(), namespaces };
}

/** A view as it is written down. */
export const viewText = ({ boot, namespaces }: View): string => `${boot} ${namespaces}`;

/** Whether what is gone for `own` is gone for who has written `text`, too: nothing runs on from another boot, and versions before wrote ''. */
export const seesAs = (own: View, text: string): boolean =>
  text === '' || text === viewText(own) || !text.startsWith(`${own.boot} `);
