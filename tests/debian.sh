#!/bin/sh
# Another Debian in a folder (as root): debian.sh SUITE FOLDER PACKAGE,PACKAGE…
set -eu

suite=$1 root=$2 packages=$3
[ "$(id -u)" = 0 ] || {
    echo 'debian: run as root: the tests use a chroot' >&2
    exit 1
}
[ ! -d "$root" ] || exit 0

# The mirror that this system uses.
mirror=$(apt-get indextargets --format '$(SITE)' 'Codename: '"$(. /etc/os-release && echo "$VERSION_CODENAME")" | head -n 1)
[ -n "$mirror" ] || {
    echo 'debian: no mirror is known: run apt-get update' >&2
    exit 1
}
mkdir -p "$(dirname "$root")"
# Under its name only when it is whole.
rm -rf --one-file-system "$root.new"
# A mirror may be behind: its Release file is signed all the same.
mmdebstrap --variant=apt --aptopt='Acquire::Check-Valid-Until "false"' \
    --include="$packages,ca-certificates" "$suite" "$root.new" "$mirror"
mv "$root.new" "$root"
