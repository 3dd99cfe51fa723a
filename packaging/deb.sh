#!/bin/sh
# Debian packages of this tree, for the Debian and the Kamailio that are installed: deb.sh FOLDER
#
# debhelper, and not cargo-deb: it is what Debian and Kamailio build their packages with, and it
# knows units, users, conffiles and shared libraries. It writes beside the tree that it builds, so
# that is a copy.
set -eu

cd "$(dirname "$0")/.."
mkdir -p "$1"
out=$(cd "$1" && pwd)
tree=$out/secsipid-rs

rm -rf "$tree"
mkdir -p "$tree"
if [ -d .git ] || [ -f .git ]; then
    git ls-files -z | tar --null --files-from=- -cf - | tar -xf - -C "$tree"
else
    tar --exclude=./target -cf - . | tar -xf - -C "$tree"
fi
# Headers that were fetched already.
cp -r kamailio-headers/tree-* "$tree/kamailio-headers/" 2>/dev/null || true

rm -f "$out"/*.deb "$out"/*.ddeb "$out"/*.changes "$out"/*.buildinfo
cd "$tree"
# -d: cargo and libclang may come from elsewhere than Debian.
CARGO_TARGET_DIR=$out/target dpkg-buildpackage --build=binary --no-sign --no-check-builddeps
cd ..
rm -rf "$tree"
lintian --fail-on error,warning --tag-display-limit 0 ./*.changes
ls -l ./*.deb
