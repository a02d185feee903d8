/** What an instance's next kernel is started with: everything that has to be looked for on the host, made and taken over. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Driver, LaunchSpec } from '../driver/index.ts';
import type { KernelImage, RootOptions, RootSource } from '../image/contract.ts';
import type { Layout } from '../sys/paths.ts';
import type { Identities } from './identities.ts';
import { joinInitrd } from './initrd.ts';
import { kernelDirectory, prepareLaunch, renewKernelDirectory, unmappedOf } from './launch.ts';
import type { Provided, Provider } from './provider.ts';
import type { InstanceRecord } from './record.ts';
import { acceptSources, checkSource, type Sources } from './source.ts';

export type PrepareRoot = (
  path: string,
  options: Pick<RootOptions, 'progress' | 'signal' | 'seen' | 'hold'>,
) => Promise<RootSource>;

/** As pk-cell says it. */
const SILENT = 'does not answer';

interface LauncherOptions {
  /** Directories to which guests may write: no link there is followed. */
  writable(): readonly string[];
  paths: Layout;
  identities: Identities;
  providers: readonly Provider[];
  resolveImage(name: string): Promise<KernelImage>;
  prepareRoot: PrepareRoot;
}

interface Attempt {
  signal: AbortSignal;
  progress: (text: string) => void;
  hold: (lease: number) => void;
}

export class Launcher {
  readonly #options: LauncherOptions;
  /** Of instances about to be started for the first time, so that they are not looked up twice; by id. */
  readonly #images = new Map<string, KernelImage>();

  constructor(options: LauncherOptions) {
    this.#options = options;
  }

  /** Its first start needs not look for `image` again. */
  expect(id: string, image: KernelImage): void {
    this.#images.set(id, image);
  }

  forget(id: string): void {
    this.#images.delete(id);
  }

  /** Rejects with what providers, the image, the root and the directory speak against it. */
  async prepare(
    record: InstanceRecord,
    driver: Driver,
    attempt: Attempt,
  ): Promise<{ launch: LaunchSpec; kept: Pick<InstanceRecord, 'identity' | 'sources'> }> {
    const { paths, identities } = this.#options;
    const { id, spec } = record;
    const image = this.#images.get(id) ?? (await this.#options.resolveImage(spec.image));
    this.#images.delete(id);
    // The same as ever, unless somebody who could not see this daemon took it for gone.
    const identity = identities.take(id);
    const sources =
      record.sources?.shown === undefined ? await accept(record, this.#options.writable()) : record.sources;
    const kept = { identity, sources };
    const root = await this.#root({ ...record, ...kept }, sources, attempt);
    // Nothing of an earlier run may live on in the directory.
    if (existsSync(kernelDirectory(paths, id)) && record.launch !== null)
      await driver.destroy(record.launch.directory, id);
    this.noteUnmapped(id);
    attempt.signal.throwIfAborted();
    const directory = await renewKernelDirectory(paths, id, driver.consoleLog(kernelDirectory(paths, id)));
    const provided: Provided = { regions: [], network: null, housekeepingCpus: undefined };
    for (const provider of this.#options.providers)
      Object.assign(provided, await provider.launch?.(record, driver.capabilities()));
    const initramfs =
      sources.initrd && (await joinInitrd(sources.initrd, image.initramfs, join(directory, 'initramfs')));
    const given = { image, root, homes: identities.homes(), ...provided, ...(initramfs && { initramfs }) };
    return { launch: await prepareLaunch(paths, directory, { ...record, ...kept }, driver, given), kept };
  }

  /** What the last launch could not show, or not with the owners that its kernel has, for people; its ids are nobody else's any more. */
  noteUnmapped(id: string): string[] {
    const unmapped = unmappedOf(this.#options.paths, id);
    if (unmapped.some(({ readOnly }) => !readOnly)) this.#options.identities.spend(id);
    return unmapped.map(({ path, reason }) =>
      reason === SILENT
        ? `${path} is left out: its file system does not answer`
        : `${path} is shown as everybody may see it: its owners cannot be mapped (${reason})`,
    );
  }

  async #root({ spec, identity }: InstanceRecord, sources: Sources, attempt: Attempt): Promise<RootSource> {
    // Who runs in the foreground is the one who asked, and sees what he may; others see what everybody may.
    if (sources.root === null) return { kind: 'host', mapped: spec.attached && identity!.kind === 'range' };
    await checkSource(sources.root);
    return await this.#options.prepareRoot(sources.root.path, { ...attempt, seen: sources.root });
  }
}

/** What a record lacks that is from before it was looked at, or was given other paths since. */
async function accept({ spec, sources }: InstanceRecord, writable: readonly string[]): Promise<Sources> {
  if (sources === null) return await acceptSources(spec, writable);
  return { ...sources, shown: (await acceptSources({ ...spec, volumes: [] }, writable)).shown ?? null };
}
