/** How much of somebody's kernel is taken in. More is refused with the bound, before it fills a disk or a day. */

/** Bytes of a kernel, unpacked: several times one with debugging information. */
export const MAX_KERNEL_BYTES = 2 ** 31;
/** Bytes of one module, unpacked. */
export const MAX_MODULE_BYTES = 64 * 1024 * 1024;
/** Modules of one image, and their bytes together: all of it is memory of each guest. */
export const MAX_MODULES = 256;
export const MAX_MODULES_BYTES = 256 * 1024 * 1024;
/** Bytes of all modules that an image offers to its guests: on the host's disk. */
export const MAX_TREE_BYTES = 8 * 2 ** 30;
/** Files and directories below the directory of modules. */
export const MAX_MODULE_FILES = 200_000;
/** Of a module's own facts, and of a list of what is built in. */
export const MAX_TEXT_BYTES = 4 * 1024 * 1024;
/** Milliseconds for reading a kernel and its modules. */
export const INGEST_DEADLINE_MS = 10 * 60_000;
