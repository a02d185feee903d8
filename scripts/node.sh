#!/bin/sh
# sh scripts/node.sh FILE ARGUMENT...: runs a program of this checkout with arguments that Node must not act on itself.
# Why, why with that flag, and who takes the mark off: src/sys/node.ts.
root=$(dirname "$0")/..
file=$1
shift
. "$root/scripts/find-node.sh"
find_node || { echo "polykernel: no Node.js >= 24 is here: run \`npm run setup\`" >&2; exit 125; }

# Only numbers are evaluated: "=${1}" "=${2}" ... A hundred at a time: with each one more the whole would be copied.
marked= some= at=0
for argument; do
  at=$((at + 1)) some="$some \"=\${$at}\""
  case $at in *00) marked="$marked$some" some= ;; esac
done
eval "exec \"\$node\" --no-concurrent-recompilation -- \"\$root/\$file\" $marked$some"
