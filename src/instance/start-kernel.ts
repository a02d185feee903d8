/** A start of an instance's kernel: what it is started with is made, and made once more where what was prepared proves to be of no use. */
import { closeSync } from 'node:fs';
import { type Kernel, type LaunchSpec, UnusableTemplate } from '../driver/index.ts';
import type { InstanceEnvironment } from './environment.ts';
import type { InstanceRecord } from './record.ts';

export interface Starting {
  environment: Pick<InstanceEnvironment, 'driver' | 'prepareLaunch'>;
  signal: AbortSignal;
  progress: (text: string) => void;
  /** As it is kept now. */
  record(): InstanceRecord;
  keep(part: Partial<InstanceRecord>): void;
}

/** Rejects as prepareLaunch() and the driver's start(), or with the reason of `signal`. */
export async function startKernel(starting: Starting): Promise<Kernel> {
  try {
    return await attempt(starting, {});
  } catch (error) {
    if (!(error instanceof UnusableTemplate)) throw error;
    return await attempt(starting, { cold: true });
  }
}

async function attempt(
  { environment, signal, progress, record, keep }: Starting,
  change: Partial<LaunchSpec>,
): Promise<Kernel> {
  let rootLease: number | undefined;
  const hold = (lease: number) => {
    rootLease = lease;
  };
  try {
    const { launch, kept } = await environment.prepareLaunch(record(), signal, progress, hold);
    keep({ ...kept, launch, imageDigest: launch.image.digest });
    signal.throwIfAborted();
    return await environment.driver.start({ ...launch, ...change, rootLease }, signal, progress);
  } finally {
    if (rootLease !== undefined) closeSync(rootLease);
  }
}
