# Tests of the tests: every planted defect of bugs.cu must be caught in the builds and settings named here, and the
# same program without it must pass in all of them. Arguments: source folder, build folder, sanitizers of the build.
set -u
bugs=$2/emu_bugs
case "${3:-}" in
*thread*) column=6 ;;
*address*) column=5 ;;
*) column=4 ;;
esac
failed=0 caught=0 right=0
export ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0 TSAN_OPTIONS=report_signal_unsafe=0:exitcode=66
out=$(mktemp)
trap 'rm -f "$out"' EXIT

# name | setting | what plain, address+undefined and thread builds must print ("-": need not see it)
table() {
    cat <<'END'
no_barrier           EMU_ORDER=rr    .  wrong.result                 wrong.result             data.race
no_barrier           EMU_ORDER=rev   .  wrong.result                 wrong.result             data.race
reuse                EMU_ORDER=rr    .  wrong.result                 wrong.result             data.race
reuse                EMU_ORDER=rev   .  wrong.result                 wrong.result             data.race
no_syncwarp          EMU_ORDER=rr    .  -                            -                        data.race
no_atomic            EMU_ORDER=rr    .  -                            -                        data.race
no_async_wait        EMU_ORDER=rr    .  wrong.result                 wrong.result             wrong.result|data.race
early_refill         EMU_ORDER=rr    .  -                            -                        data.race
divergent_barrier    EMU_ORDER=rr    .  divergent.branch             divergent.branch         divergent.branch
early_return         EMU_ORDER=rr    .  __syncthreads                __syncthreads            __syncthreads
early_return         EMU_ORDER=rev   .  __syncthreads                __syncthreads            __syncthreads
shuffle_outside      EMU_ORDER=rr    .  leaves.out                   leaves.out               leaves.out
divergent_shuffle    EMU_ORDER=rr    .  has.returned|hangs           has.returned|hangs       has.returned|hangs
partial_mma          EMU_ORDER=rr    .  has.returned|hangs           has.returned|hangs       has.returned|hangs
uninitialised        EMU_ORDER=rr    .  wrong.result                 wrong.result             wrong.result
read_past_end        EMU_ORDER=rr    .  -                            use-after-poison         -
write_past_end       EMU_ORDER=rr    .  was.overwritten              use-after-poison         was.overwritten
uninitialised_global EMU_ORDER=rr    .  wrong.result                 wrong.result             wrong.result
static_overrun       EMU_ORDER=rr    .  -                            global-buffer-overflow|out.of.bounds  -
dynamic_overrun      EMU_ORDER=rr    .  -                            use-after-poison         -
misaligned           EMU_ORDER=rr    .  -                            misaligned.address       -
host_reads_device    EMU_PROTECT=1   .  .                            SEGV|DEADLYSIGNAL        SEGV|DEADLYSIGNAL
host_pointer         EMU_ORDER=rr    .  is.host.memory               is.host.memory           is.host.memory
wrong_direction      EMU_ORDER=rr    .  not.device.memory|is.device.memory  not.device.memory|is.device.memory  not.device.memory|is.device.memory
copy_past_end        EMU_ORDER=rr    .  behind.an.allocation         behind.an.allocation     behind.an.allocation
use_after_free       EMU_ORDER=rr    .  was.freed                    was.freed                was.freed
no_event             EMU_STREAM=lazy .  wrong.result                 wrong.result             wrong.result|data.race
no_event             EMU_STREAM=eager . -                            -                        data.race
no_synchronise       EMU_STREAM=lazy .  wrong.result                 wrong.result             wrong.result|data.race
no_synchronise       EMU_STREAM=eager . -                            -                        data.race
END
}

while read -r name setting _ words; do
    # shellcheck disable=SC2086
    set -- $words
    shift $((column - 4))
    want=$1
    env "$setting" "$bugs" "$name" good >"$out" 2>&1
    rc=$?
    if [ $rc -ne 0 ] || ! grep -q '^fine$' "$out"; then
        echo "$name without the defect, $setting: rc $rc"
        sed 's/^/    /' "$out" | head -30
        failed=$((failed + 1))
    else
        right=$((right + 1))
    fi
    [ "$want" = - ] && continue
    { env "$setting" "$bugs" "$name" >"$out" 2>&1; rc=$?; } 2>/dev/null
    if [ $rc -eq 0 ] || ! { [ "$want" = . ] || grep -qE "$want" "$out"; }; then
        echo "$name, $setting: not caught (rc $rc), want: $want"
        sed 's/^/    /' "$out" | head -30
        failed=$((failed + 1))
    else
        caught=$((caught + 1))
    fi
done < <(table)
names=$("$bugs" | sort -u)
named=$(table | awk '{ print $1 }' | sort -u)
[ "$names" = "$named" ] || { echo "defects of bugs.cu and of this table differ"; failed=$((failed + 1)); }
echo "bugs: $caught defects caught, $right right programs passed, $failed failures"
[ $failed -eq 0 ]
