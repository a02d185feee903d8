#!/bin/sh
# sh scripts/node.sh FILE ARGUMENT...: runs a program of this checkout with arguments that Node must not act on itself.
# Why, why with that flag, and who takes the mark off: src/sys/node.ts.
root=$(dirname "$0")/..
file=$1
shift
. "$root/scripts/find-node.sh"
find_node || { echo "polykernel: no Node.js >= 24 is here: run \`npm run setup\`" >&2; exit 125; }

# Only numbers are evaluated: "=${1}" "=${2}" ...
marked= at=0
for argument; do at=$((at + 1)) marked="$marked \"=\${$at}\""; done
eval "exec \"\$node\" --no-concurrent-recompilation -- \"\$root/\$file\" $marked"
