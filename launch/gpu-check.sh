#!/usr/bin/env bash
# Everything that only a machine with an NVIDIA GPU can show, in one go:
#   launch/gpu-check.sh [--bundle FILE.tar.xz] [--bin DIR] [--out DIR] [--model DIR] [--small] [--quick]
# Builds the program with nvcc (preset cuda), or unpacks a bundle that was built elsewhere (launch/gpu-check.sh --pack FILE.tar.xz makes
# one; with this repository beside it, it needs nothing beyond the driver, cuBLASLt and NCCL, and a C library that is not older). Then, in this order: what there is, all op cases
# on the GPU against their double references, model parity with the CPU, compute-sanitizer on small cases where it is installed, gemm
# algorithms recorded, bench op, and bench step of the 14B model with random weights. DIR/report.md is a table for docs/benchmarks.md.
#   --bin DIR     programs that are built already, with --pack those to pack
#   --model DIR   a model for the parity run (default: datasets/smallworld/model)
#   --small       few ops and steps, and small models: to try this script where nothing is fast (preset emu)
#   --quick       no timings
# Exit: 0 all checks passed, 1 one failed, 2 usage, 69 no driver or no GPU here.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

bundle='' out=gpu-check pack='' bin='' model=datasets/smallworld/model quick=0 small=0
while [ $# -gt 0 ]; do
    case "$1" in
    --bundle | --bin | --out | --model | --pack)
        [ $# -ge 2 ] || { echo "gpu-check: $1 needs a value" >&2; exit 2; }
        case "$1" in
        --bundle) bundle=$2 ;;
        --bin) bin=$2 ;;
        --out) out=$2 ;;
        --model) model=$2 ;;
        --pack) pack=$2 ;;
        esac
        shift 2
        ;;
    --quick) quick=1; shift ;;
    --small) small=1; shift ;;
    -h | --help) sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "usage: launch/gpu-check.sh [--bundle FILE] [--bin DIR] [--pack FILE] [--out DIR] [--model DIR] [--small] [--quick]" >&2; exit 2 ;;
    esac
done

build() {
    command -v nvcc >/dev/null || { echo "gpu-check: no nvcc: install the CUDA toolkit or give a --bundle" >&2; exit 69; }
    if ! cmake --preset cuda >/dev/null || ! cmake --build --preset cuda -j "$(nproc)" --target reshoot reshoot-world >&2; then
        echo "gpu-check: the cuda preset does not build" >&2
        exit 1
    fi
}

# Program, generators, and every library but the C library's and NVIDIA's (which are half a gigabyte, and there).
# The model of the parity run is not in it: it is a file of the repository.
if [ -n "$pack" ]; then
    [ -n "$bin" ] || { build; bin=build-cuda; }
    stage=$(mktemp -d)
    trap 'rm -rf "$stage"' EXIT
    mkdir -p "$stage/reshoot/lib" "$stage/reshoot/launch"
    cp "$bin/reshoot" "$bin/reshoot-world" "$stage/reshoot/" || exit 1
    strip "$stage/reshoot/reshoot" "$stage/reshoot/reshoot-world"
    cp launch/gpu-check.sh "$stage/reshoot/launch/"
    ldd "$bin/reshoot" | awk '$3 ~ /^\// && $1 !~ /^(libc|libm|libdl|librt|libpthread|ld-linux.*)\.so|^lib(cublas|nccl|cudnn|cuda)/ { print $3 }' |
        xargs -r -I{} cp -L {} "$stage/reshoot/lib/"
    XZ_OPT=-T0 tar -C "$stage" -cJf "$pack" reshoot || exit 1
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
    unset OMPI_COMM_WORLD_SIZE PMIX_RANK PMI_RANK # one process whatever started this: without MPI, whose components are not in the bundle
}

# Asked of the kernel module first: without it nothing below can work, and building takes minutes.
if [ -z "$bin" ] && ! [ -e /proc/driver/nvidia/version ] && ! { command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; }; then
    echo "gpu-check: no NVIDIA driver on this machine: nothing was checked" >&2
    exit 69
fi
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
if [ -n "$bundle" ]; then
    tar -C "$out" -xf "$bundle" || { echo "gpu-check: $bundle cannot be unpacked" >&2; exit 1; }
    bundled "$out/reshoot"
elif [ -n "$bin" ]; then
    bin=$(cd "$bin" && pwd) || exit 2
elif [ -x ./reshoot ]; then # unpacked already
    bundled "$PWD"
else
    build
    bin=$PWD/build-cuda
fi
[ $small -eq 1 ] || model=$(cd "$model" && pwd) || exit 2
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

cases=() op=(--seconds 0.3) record=(gemm --seconds 0.1) lengths=(10 4 4)
step=(--model wan21-14b --random-weights --grid "13,30,52" --text 64 --steps 3) # 49 frames of 832x480
if [ $small -eq 1 ]; then
    cases=(gate_add) op=(gate_add --all --seconds 0.01) record=(adamw --all --seconds 0.01) lengths=(2 2 1)
    step=(--dim 96 --heads 2 --blocks 3 --tokens 32 --text 16 --steps 2)
    model=$out/model
    "$bin/reshoot-world" model --preset tiny "$model" datasets/smallmodel/tokenizer >"$out/model.txt" 2>&1 || { cat "$out/model.txt" >&2; exit 1; }
fi

check op-cases "$bin/reshoot" bench op "${cases[@]}" --backend cuda --verify

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
motion: {steps: ${lengths[0]}}
appearance: {steps: ${lengths[1]}}
edit: {steps: ${lengths[2]}}
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
    check record-gemm "$bin/reshoot" bench op "${record[@]}" --backend cuda --record "$out/gemm.table"
    check bench-op "$bin/reshoot" bench op "${op[@]}" --backend cuda
    check bench-step "$bin/reshoot" bench step "${step[@]}" --precision bf16 --backend cuda --keep recompute,attention,fit
    for part in bench-op bench-step; do
        [ -s "$out/$part.txt" ] && { echo; echo '```'; cat "$out/$part.txt"; echo '```'; } >>"$report"
    done
fi
echo "gpu-check: $report"
exit $failed
