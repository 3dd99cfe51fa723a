#!/bin/sh
# The live tests in another series of Kamailio: series.sh 6.0|6.1
#
# Makes a folder with the Debian that has it, builds the module against its headers and runs the
# tests with Kamailio in a chroot there (as root).
set -eu

series=$1
case $series in
    6.0) suite=trixie ;;
    6.1) suite=sid ;;
    *)
        echo "usage: series.sh 6.0|6.1" >&2
        exit 2
        ;;
esac

cd "$(dirname "$0")/.."

root=$PWD/.series/$series
tests/debian.sh "$suite" "$root" kamailio,kamailio-extra-modules,kamailio-lua-modules,kamailio-python3-modules

# For processes of the tests that look into /proc, and for random numbers.
cleanup() { for mount in proc dev; do umount "$root/$mount" 2>/dev/null || true; done; }
trap cleanup EXIT
cleanup
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"

echo "series: $(chroot "$root" kamailio -V | head -n 1)"
export KAMAILIO_ROOT="$root"
# In the same target folder, where all but the module itself is built already; the tests make their
# certificates with the tool, outside the chroot.
cargo build --release --package secsipid --package secsipidx
SECSIPID_MODULE=$PWD/.series/secsipid-$series.so
export SECSIPID_MODULE
cp -f "${CARGO_TARGET_DIR:-target}/release/libkamailio_secsipid.so" "$SECSIPID_MODULE"
# Without fetcher_clock, whose libfaketime is not in there, and fetcher_urls, which is not about
# Kamailio.
cargo test --package secsipid --test module --test module_signing --test module_checking --test module_cache --test module_process --test parties --test parties_differential --test lists --test shaken --test shaken_settings --test sipp --test fetchers --test fetch_async --test fetcher_faults --test fetcher_floods --test rpc --test bad_input --test kemi --test symbols --no-fail-fast
