# Part of setup.sh. The Node.js that npm brings is linked with libatomic, which a minimal Debian does not have, and without it Node
# cannot get it. Root installs it. Others have it put beside their Node, which is told to look there: then however it is started it works.
give_libatomic() {
  lacks_libatomic || return 0
  command -v apt-get >/dev/null || fail "$node does not start without libatomic: install it (libatomic1, libatomic)"
  if [ "$(id -u)" = 0 ]; then
    say "installing libatomic1 (apt-get install)"
    set -- install -y --no-install-recommends libatomic1
    apt "$@" || { apt update && apt "$@"; } || no_libatomic
  else
    say "unpacking libatomic1 beside Node.js, as you are not root"
    downloads=$(mktemp -d "$cache/libatomic.XXXXXX")
    unpack_libatomic || { rm -rf "$downloads"; no_libatomic; }
    rm -rf "$downloads"
  fi
  ! lacks_libatomic || fail "$node still does not start: $("$node" --version 2>&1 || true)"
}

lacks_libatomic() { "$node" --version 2>&1 | grep -q 'libatomic\.so.*No such file'; }
no_libatomic() { fail "Node.js needs libatomic1, which could not be had ($said): as root, apt-get install libatomic1"; }

# $said: what it said, for when all has failed.
apt() { said=$(DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 "$@" 2>&1); }

# With lists of our own, as src/sys/apt.ts has them later, where the machine's are absent or old.
apt_with_own_lists() {
  mkdir -p "$cache/apt/state/lists/partial" "$cache/apt/cache/archives/partial"
  apt -o "Dir::State=$cache/apt/state" -o Dir::State::status=/var/lib/dpkg/status -o "Dir::Cache=$cache/apt/cache" "$@"
}

unpack_libatomic() {
  here=$PWD
  set -- download libatomic1 patchelf
  cd "$downloads"
  apt "$@" || { apt_with_own_lists update && apt_with_own_lists "$@"; } || { cd "$here"; return 1; }
  cd "$here"
  for package in "$downloads"/*.deb; do said=$(dpkg-deb -x "$package" "$downloads" 2>&1) || return 1; done
  library=${node%/bin/node}/lib
  mkdir -p "$library" &&
    cp "$downloads"/usr/lib/*/libatomic.so.1 "$library/" &&
    cp "$node" "$downloads/node" &&
    said=$("$downloads/usr/bin/patchelf" --set-rpath '$ORIGIN/../lib' "$downloads/node" 2>&1) &&
    mv "$downloads/node" "$node"
}
