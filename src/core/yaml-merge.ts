/** Merge keys of YAML, `<<: *base` and `<<: [*a, *b]`: what a map takes over from others. */
import { isMap, isScalar, isSeq, type Node, type Pair, type YAMLMap } from 'yaml';

/** More than any file says, and few enough that bombs of merges take no time. Of all merges of a file. */
const MOST_MERGED = 65_536;
/** Of maps that merge maps that merge maps. */
const MOST_DEPTH = 64;

type Target = (node: Node | null) => Node | null;

export const isMergeKey = (key: Node | null): boolean => isScalar(key) && key.value === '<<' && key.type === 'PLAIN';

/** The maps that a merge key names, in their order, or undefined where it names anything else. */
function named(value: Node | null, target: Target): YAMLMap[] | undefined {
  const node = target(value);
  const all = isSeq(node) ? node.items.map((item) => target(item as Node | null)) : [node];
  return all.every((each) => isMap(each)) ? all : undefined;
}

export class Merges {
  readonly #target: Target;
  #left = MOST_MERGED;

  /** `target`: what an alias stands for. */
  constructor(target: Target) {
    this.#target = target;
  }

  /**
   * What comes in by a merge key with this value, nearest first: an earlier map counts more than a later one, and each more than
   * those it merges itself. `undefined` where it names no maps, 'too many' where it is more than all merges of a file may be.
   */
  pairs(value: Node | null): Pair<unknown, unknown>[] | 'too many' | undefined {
    const pairs: Pair<unknown, unknown>[] = [];
    const under = new Set<YAMLMap>();
    const collect = (node: Node | null): boolean => {
      const maps = named(node, this.#target);
      if (maps === undefined) return false;
      return maps.every((map) => {
        if (under.has(map)) return true;
        this.#left -= under.size < MOST_DEPTH ? 1 + map.items.length : MOST_MERGED;
        if (this.#left < 0) return true;
        under.add(map);
        const keys = map.items.map(({ key }) => this.#target(key as Node | null));
        pairs.push(...map.items.filter((_, index) => !isMergeKey(keys[index]!)));
        const isGood = map.items.every(
          ({ value }, index) => !isMergeKey(keys[index]!) || collect(value as Node | null),
        );
        under.delete(map);
        return isGood;
      });
    };
    const isGood = collect(value);
    if (this.#left < 0) return 'too many';
    return isGood ? pairs : undefined;
  }
}
