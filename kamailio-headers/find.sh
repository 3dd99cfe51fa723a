#!/bin/sh
# Prints where the Kamailio that is meant has its parts: find.sh binary | modules
#
# KAMAILIO       the binary: a path, or a name to look up; without it: kamailio
# MODULES_DIR    the folder of its modules; without it: the one beside the binary
# KAMAILIO_ROOT  a folder with another Debian in it (chroot) whose Kamailio is meant
#
# Paths are printed as this system sees them, with KAMAILIO_ROOT in front.
set -eu

root=${KAMAILIO_ROOT:-}
root=${root%/}
name=${KAMAILIO:-kamailio}

fail() {
    echo "kamailio-headers: $*" >&2
    exit 1
}

binary() {
    case $name in
        */*)
            [ -x "$root$name" ] || fail "KAMAILIO=$name is not a program${root:+ in $root}: give the path of the kamailio binary"
            echo "$root$name"
            return
            ;;
    esac
    # Users other than root often have no sbin in PATH, but Kamailio is installed there.
    for dir in $(echo "$PATH" | tr ':' ' ') /usr/local/sbin /usr/sbin; do
        if [ -x "$root$dir/$name" ]; then
            echo "$root$dir/$name"
            return
        fi
    done
    fail "no $name found in PATH${root:+ of $root}: install Kamailio, or give the path of its binary in KAMAILIO"
}

modules() {
    if [ -n "${MODULES_DIR:-}" ]; then
        echo "$root$MODULES_DIR"
        return
    fi
    found=$(binary)
    prefix=$(dirname "$(dirname "$(readlink -f "$found")")")
    for dir in "$prefix"/lib64/kamailio/modules "$prefix"/lib/kamailio/modules "$prefix"/lib/*/kamailio/modules; do
        if [ -f "$dir/pv.so" ]; then
            echo "$dir"
            return
        fi
    done
    fail "no kamailio/modules/pv.so in $prefix/lib64, $prefix/lib or $prefix/lib/*: give the folder of Kamailio's modules in MODULES_DIR"
}

case ${1:-} in
    binary | modules) "$1" ;;
    *) fail "usage: find.sh binary | modules" ;;
esac
