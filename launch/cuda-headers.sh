#!/usr/bin/env bash
# Prints the folder with NVIDIA's headers that the emulated CUDA build (preset emu) compiles against: that of an
# installed toolkit, else build-cuda/include, which is filled once from the toolkit's wheels by pip (about 1 GB is
# downloaded for the sake of their headers; the libraries are thrown away). --nvcc prints the compiler likewise
# (build-cuda/bin/nvcc). Exit 3: there is none and none can be had, with the reason on standard error.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
here=$PWD/build-cuda

headers=(nvidia-cuda-runtime==13.0.96 nvidia-cuda-crt==13.0.88 nvidia-cuda-cccl==13.0.85 nvidia-cublas==13.1.0.3
    nvidia-nccl-cu13==2.28.9 nvidia-cudnn-cu13==9.19.0.56)
compiler=(nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88)

# fetch NAME WHEEL...: unpack into build-cuda and leave the mark NAME
fetch() {
    local name=$1 tmp wheel top
    shift
    [ -e "$here/$name" ] && return 0
    python3 -m pip --version >/dev/null 2>&1 || { echo "cuda-headers: no toolkit, and no pip to fetch one" >&2; return 3; }
    tmp=$(mktemp -d) || return 3
    # shellcheck disable=SC2064 # the folder of now
    trap "rm -rf '$tmp'" EXIT # also when a download of minutes is given up
    for wheel in "$@"; do
        echo "cuda-headers: fetching $wheel" >&2
        if ! python3 -m pip download -q --no-deps --only-binary=:all: -d "$tmp" "$wheel" >&2; then
            rm -rf "$tmp"
            echo "cuda-headers: $wheel cannot be fetched" >&2
            return 3
        fi
        python3 -m zipfile -e "$tmp"/*.whl "$tmp/x" && rm -f "$tmp"/*.whl
        mkdir -p "$here"
        # wheels of one toolkit hold nvidia/<something>/{include,bin,nvvm}
        for top in "$tmp"/x/nvidia/*/; do
            for part in include bin nvvm; do
                [ -d "$top$part" ] && cp -r "$top$part" "$here/"
            done
        done
        rm -rf "$tmp/x"
    done
    rm -rf "$tmp"
    chmod -R u+rx "$here/bin" "$here/nvvm/bin" 2>/dev/null
    touch "$here/$name"
}

case "${1:-}" in
--nvcc)
    for nvcc in "$(command -v nvcc)" /usr/local/cuda/bin/nvcc "$here/bin/nvcc"; do
        [ -x "$nvcc" ] && { echo "$nvcc"; exit 0; }
    done
    fetch headers "${headers[@]}" && fetch compiler "${compiler[@]}" && [ -x "$here/bin/nvcc" ] || exit 3
    echo "$here/bin/nvcc"
    ;;
'')
    for dir in "${RS_CUDA_INCLUDE:-}" /usr/local/cuda/include "$here/include"; do
        [ -n "$dir" ] && [ -e "$dir/cuda_bf16.h" ] && [ -e "$dir/cublasLt.h" ] && [ -e "$dir/nccl.h" ] &&
            [ -e "$dir/cudnn_backend.h" ] && { echo "$dir"; exit 0; }
    done
    fetch headers "${headers[@]}" || exit 3
    echo "$here/include"
    ;;
*) echo "usage: launch/cuda-headers.sh [--nvcc]" >&2; exit 2 ;;
esac
