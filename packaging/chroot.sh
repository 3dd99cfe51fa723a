# shellcheck shell=sh
# For scripts that work in another Debian in a folder (as root): `chroot_open FOLDER` mounts what processes in there
# need, until the script ends. tests/debian.sh makes the folder.

# The name of a Debian by its number: debian_suite NUMBER USAGE
debian_suite() {
    case $1 in
        12) echo bookworm ;;
        13) echo trixie ;;
        *)
            echo "usage: $2" >&2
            exit 2
            ;;
    esac
}

chroot_open() {
    chroot_root=$1
    trap chroot_close EXIT
    chroot_close
    mount -t proc proc "$chroot_root/proc"
    mount --bind /dev "$chroot_root/dev"
}

# Also what the script mounted below.
chroot_close() {
    for mount in $(awk -v root="$chroot_root/" 'index($2, root) == 1 { print $2 }' /proc/mounts | sort -r); do
        umount "$mount" || true
    done
}
