#!/bin/sh
# Prints the folder with the headers of the installed Kamailio (the one that holds core/), after
# fetching it once from the source package of the distribution.
#
# KAMAILIO_SRC   the source tree of that very Kamailio, if you have it
# KAMAILIO_ROOT  a folder with another Debian in it (chroot) whose Kamailio is meant
#
# The system's apt is left as it is: sources and lists of its own, in a temporary folder.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=${KAMAILIO_ROOT:-}

fail() {
    echo "kamailio-headers: $*" >&2
    exit 1
}

if [ -n "${KAMAILIO_SRC:-}" ]; then
    for tree in "$KAMAILIO_SRC/src" "$KAMAILIO_SRC"; do
        if [ -f "$tree/core/sr_module.h" ]; then
            echo "$tree"
            exit 0
        fi
    done
    fail "KAMAILIO_SRC=$KAMAILIO_SRC holds no src/core/sr_module.h: give Kamailio's source tree"
fi

version=$(dpkg-query --admindir="$root/var/lib/dpkg" -W -f '${source:Version}' kamailio 2>/dev/null) ||
    fail "this Kamailio is not a Debian package: set KAMAILIO_SRC to the source tree that it was built from"

tree=$here/tree-$version
if [ -f "$tree/core/sr_module.h" ]; then
    echo "$tree"
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/sources" "$work/lists/partial" "$work/unpacked"
# apt drops its rights for downloads: let that user in.
chmod 755 "$work" "$work/unpacked"

for file in "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/*; do
    [ -f "$file" ] || continue
    case $file in
        *.sources) sed 's/^Types:.*/Types: deb-src/' "$file" ;;
        *.list) sed -n 's/^deb /deb-src /p' "$file" ;;
    esac >"$work/sources/$(basename "$file")"
done

private() {
    apt-get -o Dir::Etc::SourceList="$work/none" -o Dir::Etc::SourceParts="$work/sources" \
        -o Dir::State::Lists="$work/lists" -o Acquire::Check-Valid-Until=false \
        -o APT::Sandbox::User=root "$@" >&2
}

echo "fetching the headers of kamailio $version" >&2
# Another repository of the system may have no sources, a mirror may lack a file that is not needed
# here (a detached signature): what counts is whether the source is there afterwards. apt keeps only
# what has the digest that its signed list says.
private -qq update || true
(cd "$work/unpacked" && private -qq --download-only source "kamailio=$version") || true
cd "$work/unpacked"
# Debian's own packages are an upstream archive and a debian folder; those of Kamailio's repository
# are native: one archive with both.
for archive in kamailio_*.tar.*; do
    case $archive in
        *.asc | *.sig | *.debian.tar.*) ;;
        *) tar -xf "$archive" --strip-components=1 2>/dev/null ||
            fail "the source package of kamailio $version can't be had: set KAMAILIO_SRC to its source tree" ;;
    esac
done
for archive in kamailio_*.debian.tar.*; do
    [ ! -f "$archive" ] || tar -xf "$archive"
done
# As the distribution builds it.
if [ -f debian/patches/series ]; then
    grep -v '^#' debian/patches/series | while read -r patch _; do
        [ -z "$patch" ] || patch -s -p1 <"debian/patches/$patch" >&2
    done
fi

[ -f src/core/sr_module.h ] || fail "the source package of kamailio $version has no src/core/sr_module.h"
rm -rf "$tree.new"
mkdir -p "$tree.new"
(cd src && find core modules/tm lib -name '*.h' -exec cp --parents -t "$tree.new" {} +)
rm -rf "$tree"
mv "$tree.new" "$tree"
echo "$tree"
