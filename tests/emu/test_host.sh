#!/usr/bin/env bash
# Home host on 2 emulated GPUs: one copy that both ranks page-lock and read, the same bits; where page-locking is
# forbidden the same, with a warning; where no memory can be shared, a copy each.
#   test_host.sh DIST_RANKS
set -uo pipefail
program=$1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
host() { # HOW, the bits of both ranks being right
    out=$(mpirun --oversubscribe --bind-to none --mca pml ob1 --mca btl self,vader -n 2 "$program" host "$dir" "$1" 2>&1) &&
        [ "$(grep -c 'bits are right' <<<"$out")" = 2 ] || bad "$1"
}
bad() {
    echo "$out"
    echo "FAIL: $*"
    exit 1
}
says() { grep -q "$1" <<<"$out"; }
host shared
says 'page-locked' && bad "not registered"
[ "$(grep -o 'of file [0-9]*' <<<"$out" | sort -u | wc -l)" = 1 ] || bad "two files"
EMU_REGISTER=0 host shared
says 'weights: 67.1 MB of shared memory cannot be page-locked (.*; RLIMIT_MEMLOCK is .*): copies to the device' || bad "no warning"
host alone
says 'each of the 2 ranks keeps a copy of its own' || bad "no warning"
echo ok
