#!/usr/bin/env bash
# Installs what is missing (apt), builds and runs every test through ctest.
#   launch/test.sh          the default suite
#   launch/test.sh --long   and the long tests (full-size block, 200 kills, sanitizer builds of everything): about an hour
# The CUDA backend runs on an emulated runtime (tests/emu); where NVIDIA's headers can neither be found nor fetched
# (launch/cuda-headers.sh) that suite is counted as skipped.
# The number of tests that must exist is in tests/COUNT and tests/COUNT_EMU, so that tests cannot vanish unnoticed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

long=0
for arg in "$@"; do
    case "$arg" in
    --long) long=1 ;;
    *) echo "usage: launch/test.sh [--long]" >&2; exit 2 ;;
    esac
done

passed=0 failed=0 skipped=0 cases=0
targets=() # of the next suite; none: all
# suite PRESET CTEST_ARGS...: build a preset, run its tests, add to the counts
suite() {
    local preset=$1
    shift
    local dir=build-$preset
    local log=$dir/ctest.log
    mkdir -p "$dir"
    echo "test: building preset $preset ($dir/)"
    { cmake --preset "$preset" && cmake --build --preset "$preset" -j "$(nproc)" "${targets[@]}"; } >"$dir/build.log" 2>&1 ||
        { tail -60 "$dir/build.log"; echo "test: preset $preset does not build, see $dir/build.log" >&2; exit 1; }
    ctest --test-dir "$dir" --output-on-failure --no-tests=error "$@" | tee "$log"
    # A program with some skipped cases counts as passed; every skipped case is named with its reason.
    awk '$2 == "Testing:" { program = $3; reason = line = ""; cases = 0; next }
        /^    skipped: / { reason = substr($0, 14) }
        /^skip / { print "test: " program ": skipped " $2 ": " reason; cases++ }
        /^Test Skipped/ && !cases { print "test: " program ": skipped: " line }
        !/^<end of output>|^Test time|^-----/ { line = $0 }' "$dir/Testing/Temporary/LastTest.log" | tee "$dir/skipped.log"
    cases=$((cases + $(wc -l <"$dir/skipped.log")))
    local total bad skip
    total=$(sed -n 's/.*tests failed out of \([0-9]*\).*/\1/p' "$log")
    bad=$(sed -n 's/.*passed, \([0-9]*\) tests failed out of.*/\1/p' "$log")
    skip=$(grep -c '\*\*\*Skipped' "$log")
    if [ -z "$total" ]; then total=0 bad=1; fi
    passed=$((passed + total - bad - skip))
    failed=$((failed + bad))
    skipped=$((skipped + skip))
}

# counted PRESET FILE: as many tests are registered as the file says
counted() {
    local want have
    want=$(cat "$2")
    have=$(ctest --test-dir "build-$1" -N | sed -n 's/^Total Tests: //p')
    if [ "$have" != "$want" ]; then
        echo "test: $have tests are registered in build-$1, $2 says $want" >&2
        failed=$((failed + 1))
    fi
}

# The CUDA backend, emulated: everything plain, the kernels under sanitizers as far as the compilers are there.
emulated() {
    local why
    if ! why=$(launch/cuda-headers.sh 2>&1 >/dev/null); then
        echo "test: emu suite: skipped: $(tail -1 <<<"$why")"
        skipped=$((skipped + 1))
        return
    fi
    suite emu -j "$(nproc)"
    counted emu tests/COUNT_EMU
    targets=(--target emu_small)
    [ $long -eq 0 ] || suite emu-asan -j "$(nproc)"
    if clang++-14 --version >/dev/null 2>&1 && echo 'int main(){}' | clang++-14 -fsanitize=thread -x c++ - -o /dev/null; then
        suite emu-tsan -j "$(nproc)"
    else
        echo "test: emu-tsan suite: skipped: no clang++-14 with its thread sanitizer"
        skipped=$((skipped + 1))
    fi
    targets=()
}

launch/deps.sh --tests || exit 1
if [ $long -eq 1 ]; then
    suite dev -j "$(nproc)"
    suite asan -j "$(nproc)" -L 'unit|op|model|dist|e2e' -LE long
else
    suite dev -j "$(nproc)" -LE long
    suite asan -j "$(nproc)" -L unit -LE long
fi

counted dev tests/COUNT
emulated
echo "$passed passed, $failed failed, $skipped skipped (programs); $cases skipped cases, named above"
[ $failed -eq 0 ]
