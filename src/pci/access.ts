/** One function's configuration space as hardware has it: each read and write is a transaction on the bus. */
import type { Source, Width } from './source.ts';

export interface Access extends Source {
  /** Such as 0000:3b:00.0. */
  readonly address: string;
  /** Of a virtual function: the physical one's address. Its vendor and device id read as all ones (PCIe 9.3.4.1.1). */
  readonly physicalFunction?: string;
  /** The bridge that leads to it. */
  readonly parent?: string;
  /** Throws `unavailable` when the device is gone, as read() does. Absent: it can only be read. */
  write?(offset: number, width: Width, value: number): void;
  /** What tells without a transaction that something happened to it. Undefined when the function is gone. */
  signal?(): Signal | undefined;
  close(): void;
}

export interface Signal {
  /** Changes when the function is another one than before. */
  readonly device: string;
  /** Changes with its driver and its power state, either of which may have reset it. */
  readonly state: string;
}
