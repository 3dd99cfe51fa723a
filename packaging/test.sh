#!/bin/sh
# The packages in a clean Debian (as root): test.sh 12|13 FOLDER-WITH-PACKAGES
#
# Takes the place of the stock packages, keeping the configuration; signs and checks a call; leaves nothing behind when
# purged; and the stock packages come back.
set -eu

cd "$(dirname "$0")/.."
. packaging/chroot.sh
suite=$(debian_suite "${1:-}" 'test.sh 12|13 FOLDER')
stock='kamailio-secsipid-modules libsecsipid1 libsecsipid-dev secsipidx'
ours='kamailio-secsipid-rs-module libsecsipid1-rs libsecsipid-rs-dev secsipidx-rs'

fail() {
    echo "packages on Debian $1: $2" >&2
    exit 1
}

step() { echo "packages on Debian $release: $*"; }
release=$1
root=$PWD/.series/clean-$1
# Each run begins with a Debian that nobody has touched.
rm -rf --one-file-system "$root"
tests/debian.sh "$suite" "$root" "kamailio,pkgconf,gcc,libc6-dev,$(echo "$stock" | tr ' ' ',')"
chroot_open "$root"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
in_root() { chroot "$root" env DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8 "$@"; }

# mmdebstrap leaves no package lists.
in_root apt-get update -qq -o Acquire::Check-Valid-Until=false

step 'install over the stock packages'
echo '# the operator was here' >>"$root/etc/kamailio/kamailio.cfg"
before=$(sha256sum "$root/etc/kamailio/kamailio.cfg")
mkdir "$root/packages"
for name in $ours; do
    cp "$2/${name}_"*.deb "$root/packages/"
done
in_root sh -euc 'apt-get install -y -qq --no-install-recommends /packages/*.deb' >"$root/install.log" 2>&1 ||
    { cat "$root/install.log"; fail "$1" 'they do not install over the stock packages'; }
for name in $stock; do
    ! in_root dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed ||
        fail "$1" "$name is still installed"
done
[ "$before" = "$(sha256sum "$root/etc/kamailio/kamailio.cfg")" ] || fail "$1" 'kamailio.cfg was changed'

step 'command line, library, user, units'
in_root sh -euc '
    cd /tmp
    secsipidx keygen --public pub.pem key.pem >/dev/null
    secsipidx -sign-full -orig-tn 12155551212 -dest-tn 12155551213 -attest A -x5u https://a.example/c.pem -k key.pem >identity
    secsipidx -check -fidentity identity -fpubkey pub.pem -expire 60 | grep -q "^ok"
    echo "#include <secsipid.h>
        int main(void) { return SecSIPIDOptSetV(\"CacheExpires=5\") == 0 ? 0 : 1; }" >c.c
    gcc c.c $(pkg-config --cflags --libs secsipid-1) -o c
    ./c
    getent passwd secsipidx >/dev/null
    test "$(stat -c %a:%G /etc/secsipidx)" = 750:secsipidx || test ! -x /usr/bin/systemd-tmpfiles
    test -f /lib/systemd/system/secsipidx.service
    test -f /usr/share/man/man1/secsipidx.1.gz
' || fail "$1" 'a command failed: see above'

step 'a signed and checked call in its Kamailio'
KAMAILIO_ROOT=$root SECSIPID_MODULE=$(echo "$root"/usr/lib/*/kamailio/modules/secsipid.so) \
    cargo test --quiet --package secsipid --test module

step 'purge'
in_root sh -euc "apt-get purge -y -qq $ours" >"$root/purge.log" 2>&1 || { cat "$root/purge.log"; fail "$1" 'purge fails'; }
left=$(find "$root/etc" "$root/usr" "$root/var/lib" "$root/var/cache" "$root/lib/" -xdev \
    \( -iname '*secsipid*' -o -iname 'libsecsipid*' \) -not -path '*/var/lib/dpkg/*' -not -path '*/var/lib/apt/*' \
    -not -path '*/var/cache/apt/*' -not -path '*/var/cache/debconf/*' 2>/dev/null || true)
[ -z "$left" ] || fail "$1" "purge leaves: $left"

step 'back to the stock packages'
in_root sh -euc "apt-get install -y -qq --no-install-recommends $stock" >"$root/back.log" 2>&1 ||
    { cat "$root/back.log"; fail "$1" 'the stock packages do not come back'; }
in_root sh -euc 'test -x /usr/bin/secsipidx && test -f /usr/lib/*/kamailio/modules/secsipid_proc.so' ||
    fail "$1" 'files of the stock packages are missing'
# And from the one to the other without a purge between.
in_root sh -euc "apt-get install -y -qq --no-install-recommends /packages/*.deb && apt-get install -y -qq --no-install-recommends $stock" \
    >"$root/swap.log" 2>&1 || { cat "$root/swap.log"; fail "$1" 'the packages do not take turns'; }
step passed
