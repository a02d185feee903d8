/** What the store knows of an image, as one JSON file per name. */
import { createHash } from 'node:crypto';
import type { Blob } from './blobs.ts';
import { IMAGE_KINDS, type ImageKind } from './image.ts';
import type { ModuleSets } from './modules.ts';

export interface ModuleBlob extends Blob {
  name: string;
}

/** The part that decides what boots. */
export interface ImageContent {
  kind: ImageKind;
  version: string;
  kernel: Blob;
  modules: readonly ModuleBlob[];
  sets: ModuleSets;
  /** All modules, for modprobe; undefined: guests are offered none. */
  tree?: Blob | undefined;
}

export interface Manifest extends ImageContent {
  format: 1;
  name: string;
  /** Where it came from: a package with its version, or a path. */
  source: string;
  /** ISO 8601 UTC. */
  createdAt: string;
}

const NAME = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?(?::[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?)?$/;

/** Characters: many times what 256 modules take. */
const MAX_MANIFEST = 1024 * 1024;
/** As indexModules() finds them. */
const MODULE = /^\w{1,64}$/;

export function isImageName(name: string): boolean {
  return NAME.test(name);
}

/** SHA-256 over what boots, with the agent that goes into the initramfs: equal digests boot the same bytes. */
export function imageDigest(content: ImageContent, agentFingerprint: string): string {
  const { kind, version, kernel, modules, sets, tree } = content;
  const boots = [kind, version, kernel.sha256, modules.map((m) => [m.name, m.sha256]), sets, agentFingerprint];
  const canonical = tree === undefined ? boots : [...boots, tree.sha256];
  return createHash('sha256').update(JSON.stringify(canonical)).digest('hex');
}

/** Parses a manifest file; undefined if it is damaged or of another format. */
export function parseManifest(text: string): Manifest | undefined {
  if (text.length > MAX_MANIFEST) return undefined;
  try {
    const value = JSON.parse(text) as Manifest;
    const sound =
      value.format === 1 &&
      IMAGE_KINDS.includes(value.kind) &&
      [value.name, value.version, value.source, value.createdAt].every((text) => typeof text === 'string') &&
      [value.kernel, ...value.modules, ...(value.tree ? [value.tree] : [])].every(isBlob) &&
      value.modules.every((module) => MODULE.test(module.name)) &&
      Object.values(value.sets).every((names) => Array.isArray(names) && names.every((name) => MODULE.test(name)));
    return sound ? value : undefined;
  } catch {
    return undefined;
  }
}

function isBlob(value: Blob): boolean {
  return /^[0-9a-f]{64}$/.test(value.sha256) && Number.isSafeInteger(value.size) && value.size >= 0;
}

/** Hashes of all blobs that a manifest needs. */
export function blobsOf(content: ImageContent): string[] {
  return [content.kernel.sha256, ...content.modules.map((module) => module.sha256)];
}
