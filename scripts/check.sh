#!/bin/sh
# The fast gate: types beside lint, layers and dead code, then the tests of single modules.
set -e
tsc &
types=$!
biome check . && depcruise --config .dependency-cruiser.cjs src && knip || { kill $types 2>/dev/null; exit 1; }
wait $types
vitest run --project unit
