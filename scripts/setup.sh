#!/bin/sh
# Makes a checkout ready to use: npm packages, Debian packages, the native programs and the kernel images. Running it
# again does only what is missing. Options: --quiet (only problems), --skip-images, --tests (also programs that tests run).
set -eu
cd "$(dirname "$0")/.."
# When it began, when its downloads did and ended: for setup/times.ts, which says what set-up took.
read -r times _ </proc/uptime
mark() { read -r up _ </proc/uptime && times="$times $up"; }
: "${HOME:=$(getent passwd "$(id -u)" | cut -d: -f6)}"
export HOME
cache=${POLYKERNEL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/polykernel}

quiet=
for option; do
  case $option in
    --quiet) quiet=1 ;;
    --skip-images | --tests) ;;
    *) echo "setup: $option is not one of --quiet, --skip-images, --tests" >&2; exit 2 ;;
  esac
done
say() { [ -n "$quiet" ] || echo "setup: $*"; }
fail() { echo "setup: $*" >&2; exit 1; }

# What lies in the cache is run, as root too: each directory on the way to it belongs to root or to us and is written by
# nobody else (in sticky ones, such as /tmp, nobody touches what is ours). src/sys/places.ts looks closer later.
check_places() {
  place=$1
  while [ ! -e "$place" ]; do place=$(dirname "$place"); done
  place=$(cd "$place" && pwd -P)
  while :; do
    sound=$(find "$place" -prune \( -user 0 -o -user "$(id -u)" \) \( ! -perm /022 -o -perm -1000 \))
    [ -n "$sound" ] || fail "$cache is not used for what is run: $place ($(stat -c 'owner %U, mode %a' "$place")) is not ours" \
      "alone: set POLYKERNEL_CACHE to a directory of your own (with sudo: HOME=/root)"
    [ "$place" = / ] && break
    place=$(dirname "$place")
  done
}
check_places "$cache"
(umask 077 && mkdir -p "$cache") || fail "cannot make the cache directory $cache: set POLYKERNEL_CACHE to a writable directory"
check_places "$cache"
[ -O "$cache" ] || fail "$cache belongs to $(stat -c %U "$cache"): set POLYKERNEL_CACHE to a directory of your own"
# By the path that was looked at, no link of which can lead elsewhere now. In it nobody else makes files, as in /tmp: a link in place of
# the lock would have another file emptied, and Node runs what lies in compile.
cache=$(cd "$cache" && pwd -P)
for own in "$cache" "$cache/compile" "$cache/setup.lock"; do
  [ -e "$own" ] || [ -h "$own" ] || continue
  [ -n "$(find "$own" -prune -user "$(id -u)" ! -type l \( -type f -o ! -perm /022 \))" ] ||
    fail "$cache is not used for what is run: $own ($(stat -c '%F, owner %U, mode %a' "$own")) is not ours alone:" \
      "set POLYKERNEL_CACHE to a directory of your own"
done

# To run a checkout is to run what its owner writes, as with make install.
if [ "$(id -u)" = 0 ] && [ -z "$quiet" ] && [ -n "$(find . -prune \( ! -user 0 -o -perm /022 \))" ]; then
  say "note: root runs programs that others can change: this checkout has $(stat -c 'owner %U, mode %a' .)"
fi
# Two set-ups at once (two terminals, CI jobs) take turns; the kernel drops the lock with the process.
if command -v flock >/dev/null; then
  exec 9>"$cache/setup.lock"
  flock -n 9 || { say "waiting for another set-up to finish"; flock 9; }
fi

mark
fresh=
# The stamp is a copy of the lock file that node_modules was made from: npm's own file times prove nothing.
installed=node_modules/.package-lock.json
stamp=node_modules/.polykernel-lock.json
if [ -e "$installed" ] && [ ! -e "$stamp" ] && [ -z "$(find package-lock.json -newer "$installed")" ]; then
  cp package-lock.json "$stamp"
fi
if [ ! -e "$installed" ] || ! cmp -s package-lock.json "$stamp"; then
  [ -h node_modules ] && fail "node_modules leads to $(readlink -f node_modules), which npm would empty: run set-up there, or remove the link"
  command -v npm >/dev/null || fail "npm is missing: apt-get install npm, or install Node.js from https://nodejs.org"
  say "installing npm packages (npm ci)"
  wanted="--include=dev --include=optional --ignore-scripts --no-audit --no-fund --loglevel=error"
  if ! npm ci $wanted >&2; then
    # Mirrors that lack packages of other platforms make npm refuse a lock file that names them; install does not mind.
    say "npm ci failed; trying npm install"
    npm install --no-save $wanted >&2 ||
      fail "npm could not install the packages: see its message above; run it again once the registry can be reached"
  fi
  fresh=1
fi

root=.
. scripts/find-node.sh
find_node || fail "Node.js >= 24 is needed and npm did not bring one for $(uname -m): install it from https://nodejs.org"
. scripts/setup/libatomic.sh
give_libatomic
if [ -n "$fresh" ]; then
  # npm leaves optional packages out that its own Node is too old for (Debian 12: 18), though they run on the one that it has brought.
  # On that it gets them. Debian's npm finds its parts by a path that only Debian's Node knows.
  case $(node --version 2>/dev/null) in v1?.*)
    say "npm packages that need a newer Node.js than $(node --version)"
    NODE_PATH=/usr/share/nodejs "$node" "$(readlink -f "$(command -v npm)")" install --no-save $wanted >&2 ||
      say "npm could not get them: linters may not run"
    # It may have brought its Node anew.
    give_libatomic
  esac
  cp package-lock.json "$stamp"
fi
mark

# What Node keeps of our sources: half a second of each later set-up.
exec env SETUP_TIMES="$times" NODE_COMPILE_CACHE="$cache/compile" "$node" -- scripts/setup/main.ts "$@"
