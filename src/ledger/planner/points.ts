/**
 * The objective, in points; a plan with fewer is better. The same sum is what the search minimises, what `placementCost`
 * reports of any plan, and what the exact solver of the tests minimises:
 *
 *     cost = refusals
 *          + for each instance: packages, nodes and L3s beyond the first, and mixed core types      (spread)
 *          + for each instance: GiB x (distance of the memory from the nearest of its CPUs - 10)    (remote memory)
 *          + for each device with a known node: distance from the nearest of the owner's CPUs - 10  (device distance)
 *          + free cores in partly used L3s and nodes, free threads of broken cores, and shared CPUs
 *            that are neither full nor empty                                                        (fragmentation)
 *
 * Distances are those of the ACPI SLIT, 10 being local. One more refusal outweighs everything else of an instance.
 */
export const POINTS = {
  /** For each request that gets no place. */
  refused: 1_000_000,
  /** For each package, node and L3 an instance uses beyond one. A second package is a second node too: both count. */
  extraPackage: 800,
  extraNode: 400,
  extraL3: 80,
  /** For an instance with performance and efficiency cores. */
  mixedTypes: 200,
  /** For each GiB and unit of distance beyond local. */
  remoteGiB: 4,
  /** For each device and unit of distance beyond local. */
  device: 20,
  /** For each free thread of a core that cannot be given away whole any more. */
  looseThread: 4,
  /** For each free whole core of an L3, and of a node, that somebody uses. */
  freeCoreInUsedL3: 2,
  freeCoreInUsedNode: 1,
  /** For each shared CPU with something promised and something left. */
  partSharedCpu: 2,
} as const;

/** ACPI SLIT's distance of a node to itself. */
export const LOCAL_DISTANCE = 10;

export const GIB = 2 ** 30;
