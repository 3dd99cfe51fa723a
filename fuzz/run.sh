#!/usr/bin/env bash
# Runs every target, or those named in TARGETS, for so many seconds each, from its seeds and what
# earlier runs found. Stops at the first finding; its input is in artifacts/.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:-600}
cargo=${CARGO:-cargo}
"$cargo" fuzz --version >/dev/null 2>&1 || "$cargo" install --locked --quiet cargo-fuzz
# No sanitizer: there is no unsafe code in stir, and with none a stable toolchain will do.
triple=$(rustc -vV | sed -n 's/^host: //p')
for target in ${TARGETS:-$("$cargo" fuzz list)}; do
    echo "fuzz: $target, $seconds s"
    mkdir -p "corpus/$target"
    "$cargo" fuzz run --sanitizer none --target "$triple" "$target" "corpus/$target" "seeds/$target" -- \
        -max_total_time="$seconds" -max_len=20000 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
        "-dict=seeds/$target.dict"
done
