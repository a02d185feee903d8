#!/bin/sh
# The fast gate: lint, layers and dead code, then the tests of single modules; types beside both, as they take a CPU for long in a new checkout.
set -e
problems=$(mktemp)
trap 'rm -f "$problems"' EXIT
tsc > "$problems" & types=$!
# Once: a shell knows nothing any more of what it has waited for.
have_types() { [ -z "$types" ] || wait $types || { cat "$problems"; exit 1; }; types=; }
biome check . && depcruise --config .dependency-cruiser.cjs src && knip || { kill $types 2>/dev/null; exit 1; }
kill -0 $types 2>/dev/null || have_types
vitest run --project unit || tests=$?
have_types
exit ${tests:-0}
