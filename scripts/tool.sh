#!/bin/sh
# sh scripts/tool.sh COMMAND ARGUMENT...: runs a tool of node_modules, and what that starts, on this checkout's Node.js.
root=$(cd "$(dirname "$0")/.." && pwd -P)
. "$root/scripts/find-node.sh"
find_node || { echo "polykernel: no Node.js >= 24 is here: run \`npm run setup\`" >&2; exit 125; }
PATH=${node%/*}:$root/node_modules/.bin:$PATH
export PATH
exec "$@"
