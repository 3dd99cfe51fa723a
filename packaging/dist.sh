#!/bin/sh
# A source tarball that builds without a network and without git: dist.sh FOLDER
#
# With the crates, and the headers of the Kamailio series that were fetched here (their source packages hold them).
set -eu

cd "$(dirname "$0")/.."
mkdir -p "$1"
out=$(cd "$1" && pwd)
epoch=$(git log -1 --format=%ct)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
name=secsipid-rs-$version
tree=$out/$name

rm -rf "$tree"
mkdir -p "$tree"
git ls-files -z | tar --null --files-from=- -cf - | tar -xf - -C "$tree"
cp -r kamailio-headers/tree-* "$tree/kamailio-headers/" 2>/dev/null || true
cd "$tree"
cargo vendor --locked --quiet --versioned-dirs vendor >vendor.toml
printf '\n' >>.cargo/config.toml
cat vendor.toml >>.cargo/config.toml
rm vendor.toml
cd ..
# The same bits each time: owner, order and time.
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$epoch" -cJf "$name.tar.xz" "$name"
rm -rf "$tree"
ls -l "$out/$name.tar.xz"
