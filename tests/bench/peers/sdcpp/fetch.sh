#!/usr/bin/env bash
# Fetches stable-diffusion.cpp and its ggml and builds sdcpp_side, for run.sh.
#   tests/bench/peers/sdcpp/fetch.sh [FOLDER]   ($TMPDIR/reshoot-sdcpp; run.sh looks there)
# With SDCPP_SOURCE a source tree (with ggml in it) that is there already is built.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-${TMPDIR:-/tmp}/reshoot-sdcpp}
commit=97d2990807fe6d558e395f8764198d7c7e7b411c
ggml=8e800cef2948046cc47f9db6090491c6128ca42c
source=${SDCPP_SOURCE:-$folder/source}
mkdir -p "$folder"
if [ ! -d "$source" ]; then
    git clone --filter=blob:none --no-checkout https://github.com/leejet/stable-diffusion.cpp "$source"
    git -C "$source" checkout -q "$commit"
    git clone --filter=blob:none --no-checkout https://github.com/leejet/ggml "$source/ggml"
    git -C "$source/ggml" checkout -q "$ggml"
fi
cmake -S "$here" -B "$folder/build" -DSDCPP="$source"
cmake --build "$folder/build" -j "$(nproc)" --target sdcpp_side
echo "$folder/build/sdcpp_side"
