#!/usr/bin/env bash
# Everything that only a machine with an NVIDIA GPU can show, in one go:
#   launch/gpu-check.sh [--bundle FILE.tar.xz] [--out DIR] [--model DIR] [--quick]
# Builds the program with nvcc (preset cuda), or unpacks a bundle that was built elsewhere (launch/gpu-check.sh --pack FILE.tar.xz makes
# one; it needs nothing here beyond the driver, cuBLASLt and NCCL, and a C library that is not older). Then, in this order: what there is, all op cases
# on the GPU against their double references, model parity with the CPU, compute-sanitizer on small cases where it is installed, gemm
# algorithms recorded, bench op, and bench step of the 14B model with random weights. DIR/report.md is a table for docs/benchmarks.md.
#   --model DIR   a model for the parity run (default: the bundled small one)
#   --quick       no timings
# Exit: 0 all checks passed, 1 one failed, 2 usage, 69 no driver or no GPU here.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

bundle='' out=gpu-check pack='' model=datasets/smallworld/model quick=0
while [ $# -gt 0 ]; do
    case "$1" in
    --bundle | --out | --model | --pack)
        [ $# -ge 2 ] || { echo "gpu-check: $1 needs a value" >&2; exit 2; }
        case "$1" in
        --bundle) bundle=$2 ;;
        --out) out=$2 ;;
        --model) model=$2 ;;
        --pack) pack=$2 ;;
        esac
        shift 2
        ;;
    --quick) quick=1; shift ;;
    -h | --help) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "usage: launch/gpu-check.sh [--bundle FILE] [--pack FILE] [--out DIR] [--model DIR] [--quick]" >&2; exit 2 ;;
    esac
done

build() {
    command -v nvcc >/dev/null || { echo "gpu-check: no nvcc: install the CUDA toolkit or give a --bundle" >&2; exit 69; }
    if ! cmake --preset cuda >/dev/null || ! cmake --build --preset cuda -j "$(nproc)" --target reshoot reshoot-world >&2; then
        echo "gpu-check: the cuda preset does not build" >&2
        exit 1
    fi
}

# Program, generators, small model, and every library but the C library's and NVIDIA's (which are half a gigabyte, and there).
if [ -n "$pack" ]; then
    build
    stage=$(mktemp -d)
    trap 'rm -rf "$stage"' EXIT
    mkdir -p "$stage/reshoot/lib" "$stage/reshoot/datasets/smallworld" "$stage/reshoot/launch"
    cp build-cuda/reshoot build-cuda/reshoot-world "$stage/reshoot/"
    strip "$stage/reshoot/reshoot" "$stage/reshoot/reshoot-world"
    cp launch/gpu-check.sh "$stage/reshoot/launch/"
    cp -r datasets/smallworld/model "$stage/reshoot/datasets/smallworld/"
    ldd build-cuda/reshoot | awk '$3 ~ /^\// && $1 !~ /^(libc|libm|libdl|librt|libpthread|ld-linux.*)\.so|^lib(cublas|nccl|cudnn|cuda)/ { print $3 }' |
        xargs -r -I{} cp -L {} "$stage/reshoot/lib/"
    tar -C "$stage" -cJf "$pack" reshoot || exit 1
    echo "gpu-check: $pack: $(du -h "$pack" | cut -f1)"
    exit 0
fi

# The folders of NVIDIA's libraries: a toolkit's, or those of Python wheels, wherever they are.
nvidia_folders() {
    local lib
    for lib in 'libcublasLt.so.[0-9]*' 'libnccl.so.2' 'libcudnn.so.9'; do
        find -L /usr/local/cuda*/ /usr/lib /opt /usr/local/lib "$HOME" -maxdepth 9 -name "$lib" -printf '%h\n' 2>/dev/null | head -1
    done | sort -u | paste -sd:
}
bundled() { # FOLDER: run what was unpacked there
    local theirs
    theirs=$(nvidia_folders)
    bin=$1
    export LD_LIBRARY_PATH=$bin/lib:$theirs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
}

# Asked of the kernel module first: without it nothing below can work, and building takes minutes.
if ! [ -e /proc/driver/nvidia/version ] && ! { command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; }; then
    echo "gpu-check: no NVIDIA driver on this machine: nothing was checked" >&2
    exit 69
fi
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
if [ -n "$bundle" ]; then
    tar -C "$out" -xf "$bundle" || { echo "gpu-check: $bundle cannot be unpacked" >&2; exit 1; }
    bundled "$out/reshoot"
    [ -d "$model" ] || model=$bin/datasets/smallworld/model
elif [ -x ./reshoot ]; then # unpacked already
    bundled "$PWD"
else
    build
    bin=$PWD/build-cuda
fi
model=$(cd "$model" && pwd) || exit 2
if ! "$bin/reshoot" bench info >"$out/info.txt" 2>&1 || ! grep -q '^cuda device 0: ' "$out/info.txt"; then
    cat "$out/info.txt" >&2
    echo "gpu-check: the program finds no GPU here: nothing was checked" >&2
    exit 69
fi

failed=0
report=$out/report.md
{
    echo "### $(sed -n 's/^cuda device 0: //p' "$out/info.txt")"
    echo
    echo "$(date -u +%F), commit $("$bin/reshoot" --version | sed -n 's/^commit: //p'), $(sed -n 's/^cuda libraries: //p' "$out/info.txt"), $(sed -n 's/^nccl: //p' "$out/info.txt")"
    echo
    echo "| check | result | seconds |"
    echo "| --- | --- | --- |"
} >"$report"
# check NAME COMMAND...: one row of the report, the output in DIR/NAME.txt
check() {
    local name=$1 begin=$SECONDS result=passed
    shift
    echo "gpu-check: $name"
    if ! ("$@") >"$out/$name.txt" 2>&1; then
        result="**failed**"
        failed=1
        tail -5 "$out/$name.txt" >&2
    fi
    echo "| $name | $result | $((SECONDS - begin)) |" >>"$report"
}

check op-cases "$bin/reshoot" bench op --backend cuda --verify

# A whole run, once on the CPU and once on the GPU: losses must agree. fp32 to what a sum in another order changes, bf16 to its format.
# shellcheck disable=SC2317 # called through check
parity() {
    local precision=$1 limit=$2 work=$out/parity-$1
    rm -rf "$work" && mkdir -p "$work" && cd "$work" || return 1
    "$bin/reshoot-world" smallworld world --count 1 --frames 9 || return 1
    cat >exp.yaml <<YAML
name: parity
output: out
catalog: world/catalog.yaml
model: {path: $model, precision: $precision}
clip: {frames: 9, width: 96, height: 96}
lora: {rank: 8}
motion: {steps: 10}
appearance: {steps: 4}
edit: {steps: 4}
log: {level: detail}
YAML
    for backend in cpu cuda; do
        "$bin/reshoot" run exp.yaml --set cluster.backend="$backend" --set output="$backend" >"$backend.log" 2>&1 ||
            { tail -3 "$backend.log"; return 1; }
    done
    # the CPU logs fewer lines as it is faster: first and last of each stage are always there
    for backend in cpu cuda; do
        grep -o '\(motion\|appearance\) step [0-9]*/[0-9]*  loss [0-9.]*' "$backend.log" | awk '{ print $1, $3, $5 }' | sort >"$backend.rows"
    done
    join -j 1 <(awk '{ print $1 ":" $2, $3 }' cpu.rows | sort) <(awk '{ print $1 ":" $2, $3 }' cuda.rows | sort) >both.rows
    awk -v limit="$limit" '{ d = ($2 - $3) / $2; if (d < 0) d = -d; if (d > most) most = d; n++ }
        END { printf "%d losses compared, largest relative difference %.2e, limit %g\n", n, most, limit; exit !(n >= 4 && most <= limit) }' both.rows
}
check parity-fp32 parity fp32 1e-4
check parity-bf16 parity bf16 2e-2

if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck initcheck synccheck; do
        for op in gemm attention_fwd attention_bwd layernorm_bwd conv3d; do
            check "sanitizer-$tool-$op" compute-sanitizer --tool $tool --error-exitcode 1 "$bin/reshoot" bench op $op --backend cuda --verify
        done
    done
else
    echo "| compute-sanitizer | not installed | |" >>"$report"
fi

if [ $quick -eq 0 ]; then
    check record-gemm "$bin/reshoot" bench op gemm --backend cuda --record "$out/gemm.table"
    check bench-op "$bin/reshoot" bench op --backend cuda --seconds 0.3
    if "$bin/reshoot" bench help 2>&1 | grep -q '^  step '; then
        check bench-step "$bin/reshoot" bench step --model wan21-14b --random-weights
    else
        echo "| bench-step | not in this version | |" >>"$report"
    fi
    for part in bench-op bench-step; do
        [ -s "$out/$part.txt" ] && { echo; echo '```'; cat "$out/$part.txt"; echo '```'; } >>"$report"
    done
fi
echo "gpu-check: $report"
exit $failed
