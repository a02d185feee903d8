/** A host kernel's pool and kernels that kerf has made, as this daemon takes them over. CPUs are physical ids, as the host kernel has them. */

export interface AdoptedPool {
  cpus: readonly number[];
  chunks: readonly { base: number; bytes: number; node: number | null }[];
  /** Addresses of PCI functions, those of kernels among them. */
  functions: readonly string[];
}

/** What kerf says that it has loaded, as far as it says it. */
export interface KerfImage {
  kernel?: string;
  version?: string;
  sha256?: string;
  initrd?: string;
  /** Name of a container's image, or a directory. */
  root?: string;
  loadedAt?: string;
}

export interface AdoptedKernel {
  name: string;
  /** The host kernel's, by which it is loaded, booted and stopped. */
  id: number;
  /** The first boots it. */
  cpus: readonly number[];
  memoryBytes: number;
  functions: readonly string[];
  /** Empty: it says nothing, or nothing that can be read. */
  image: KerfImage;
}

export interface AdoptedHost {
  pool: AdoptedPool;
  kernels: readonly AdoptedKernel[];
}

/** The same as it is kept. */
export interface AdoptionRecord extends AdoptedHost {
  /** After another boot of the host kernel nothing of it is there any more. */
  bootId: string;
}

/** What an import does, or would do, with the pool or a kernel. With anything that is refused nothing is done. */
export interface ImportChange {
  action: 'adopt' | 'change' | 'forget' | 'refuse';
  /** `pool`, or the name of a kernel. */
  what: string;
  /** How it will be, or why not and what to do. */
  text: string;
}

export interface ImportPlan {
  after: AdoptedHost;
  changes: readonly ImportChange[];
}

/** What is this daemon's, and how that differs from what is there. */
export interface KerfReport {
  /** null: nothing is. */
  pool: { cpus: readonly number[]; memoryBytes: number; functions: readonly string[] } | null;
  kernels: readonly (AdoptedKernel & {
    /** The host kernel's word: `ready`, `loaded`, `active`; `gone` when there is none of that name and id. */
    status: string;
  })[];
  /** What another import would do now. */
  changes: readonly ImportChange[];
}

/** What is to be done. */
export interface KerfRequest {
  /** `start`, `stop` and `remove` are of one kernel that is taken over. */
  act: 'import' | 'start' | 'stop' | 'remove' | 'release';
  /** Of the kernel. */
  name?: string;
  /** `import`: only say what would be done. */
  dryRun?: boolean;
  /** `release`: leave all as it is, and running. */
  keep?: boolean;
  /** `stop`: how long it has to stop by itself. */
  graceMs?: number;
  /** `remove`: also one that runs. */
  force?: boolean;
}
