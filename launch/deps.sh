#!/usr/bin/env bash
# Installs what reshoot needs to build and run on Debian 12, through apt; does nothing where it is all there.
# As a user without root rights it only says what is missing.
set -euo pipefail

packages=(
    build-essential cmake ninja-build pkg-config   # build
    libhdf5-dev hdf5-tools                         # archives
    libyaml-dev libjansson-dev                     # configuration, model JSON
    libavformat-dev libavcodec-dev libavutil-dev libswscale-dev  # video and images
    libopenblas-dev                                # matrix products on CPU
    libsentencepiece-dev                           # tokenizer
)
[ "${1:-}" = --tests ] && packages+=(python3-h5py)  # an independent reader of the archives

missing=()
for p in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
done
if [ ${#missing[@]} -eq 0 ]; then
    echo "deps: all ${#packages[@]} packages are installed"
    exit 0
fi
echo "deps: installing with apt: ${missing[*]}"
sudo=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "deps: not root and no sudo; please install the packages above" >&2; exit 2; }
    sudo=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
echo "deps: done"
