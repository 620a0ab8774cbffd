#!/usr/bin/env bash
# emu_data on 2 and 4 emulated GPUs; and a collective that rank 1 does not come to: the watchdog names it and its call.
#   test_data.sh PROGRAM
set -uo pipefail
program=$1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
world() {
    mpirun --oversubscribe --bind-to none --mca pml ob1 --mca btl self,vader -n "$@" 2>&1
}
for n in 2 4; do
    out=$(world "$n" "$program") || { echo "$out"; echo "FAIL: $n ranks"; exit 1; }
    [ "$(grep -c ': ok$' <<<"$out")" = "$n" ] || { echo "$out"; echo "FAIL: not all of $n ranks are done"; exit 1; }
done
late='waited .* in allgather (tokens), call 1 of world on the device; '
for mode in hang hang_enqueued hang_device; do
    out=$(world 3 "$program" "$mode")
    rc=$?
    want=${late}'rank 1 has not arrived'
    [ $mode = hang_device ] && want=${late}'the device of rank 1 has not come to it'
    if [ $rc -ne 41 ] || ! grep -q "$want" <<<"$out"; then
        echo "$out"
        echo "FAIL: $mode: exit $rc, or rank and call are not named"
        exit 1
    fi
done
echo "ok"
