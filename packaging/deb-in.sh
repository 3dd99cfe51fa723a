#!/bin/sh
# Debian packages for another Debian, built in a folder with it (as root): deb-in.sh 12|13
#
# The Rust toolchain is that of this machine, since Debian has none that is new enough.
set -eu

cd "$(dirname "$0")/.."
. packaging/chroot.sh
suite=$(debian_suite "${1:-}" 'deb-in.sh 12|13')

root=$PWD/.series/build-$1
tests/debian.sh "$suite" "$root" kamailio,gcc,libc6-dev,libclang-dev,patch,xz-utils,make,git,debhelper,dpkg-dev,lintian

chroot_open "$root"
cargo=${CARGO_HOME:-$HOME/.cargo}
rustup=$(rustc --print sysroot)
for dir in "$PWD" "$cargo" "$rustup"; do
    mkdir -p "$root$dir"
    mount --bind "$dir" "$root$dir"
done
# Variables of this machine's that mean other programs in there stay outside.
chroot "$root" env -i PATH="$rustup/bin:/usr/sbin:/usr/bin:/sbin:/bin" HOME="$HOME" CARGO_HOME="$cargo" \
    LANG=C.UTF-8 TERM="${TERM:-dumb}" $(env | grep '^CARGO_PROFILE_' || true) \
    sh -euc "cd '$PWD' && git config --global --add safe.directory '$PWD' && packaging/deb.sh target/deb-$1"
