#!/bin/sh
# Installs those of the named Debian packages that are missing, and starts none of their services:
# deps.sh PURPOSE PACKAGE…
set -eu

purpose=$1
shift
missing=
for package in "$@"; do
    case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) in
        installed) ;;
        *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    sudo=
elif command -v sudo >/dev/null; then
    sudo=sudo
else
    echo "$purpose needs Debian packages that only root can install. Run as root, then again $purpose:" >&2
    echo "  apt-get install --no-install-recommends$missing" >&2
    exit 1
fi

# Packages that bring a service would start it: 101 says that this is not wanted now.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
    $sudo chmod 755 "$policy"
    trap '$sudo rm -f "$policy"' EXIT
fi

command -v apt-get >/dev/null || {
    echo "$purpose needs what these Debian packages bring:$missing; this system has no apt-get: install them by its own means" >&2
    exit 1
}
echo "$purpose installs these Debian packages:$missing"
$sudo apt-get update -qq || echo 'deps: not every package list is up to date; going on' >&2
# shellcheck disable=SC2086 # words of a list
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
