#!/bin/sh
# Calls between this module and Asterisk: tests/asterisk.rs with the Asterisk of Debian sid, which
# runs in a chroot (as root). Remove .series/asterisk for a newer one.
set -eu

cd "$(dirname "$0")/.."
root=$PWD/.series/asterisk
tests/debian.sh sid "$root" asterisk
# Asterisk looks its host's name up.
echo '127.0.0.1 localhost' >"$root/etc/hosts"

echo "asterisk: $(chroot "$root" asterisk -V), $(kamailio -V | head -n 1)"
export ASTERISK_ROOT="$root"
cargo build --release --package secsipid --package secsipidx
cargo test --package secsipid --test asterisk
