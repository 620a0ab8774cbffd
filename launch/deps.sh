#!/usr/bin/env bash
# Installs what reshoot needs to build and run on Debian 12, through apt; does nothing where it is all there.
# As a user who is not root it asks sudo, and where there is none it only says what is missing.
#   launch/deps.sh            to build and run
#   launch/deps.sh --tests    and what the tests call
set -euo pipefail

packages=(
    build-essential cmake ninja-build pkg-config   # build
    libhdf5-dev                                    # archives
    libyaml-dev libjansson-dev                     # configuration, model JSON
    libavformat-dev libavcodec-dev libavutil-dev libswscale-dev  # video and images
    libsentencepiece-dev                           # tokenizer
    libopenmpi-dev openmpi-bin                     # several ranks
)
test_packages=(
    hdf5-tools python3-h5py   # independent readers of the archives
    clang-format git          # lint: the format; which files belong to the repository
)
case "${1:-}" in
'') ;;
--tests) packages+=("${test_packages[@]}") ;;
*) echo "usage: launch/deps.sh [--tests]" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "deps: there is no apt on this system; install what corresponds to: ${packages[*]}" >&2
    exit 2
fi
missing=()
for p in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
done
if [ ${#missing[@]} -eq 0 ]; then
    echo "deps: all ${#packages[@]} packages are installed"
    exit 0
fi

by_hand="apt-get install --no-install-recommends ${missing[*]}"
as_root=(env DEBIAN_FRONTEND=noninteractive)
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "deps: packages are missing, and there is neither root nor sudo here; ask for: $by_hand" >&2
        exit 2
    fi
    as_root=(sudo "${as_root[@]}")
fi
echo "deps: installing with apt (minutes on a bare system): ${missing[*]}"
if ! "${as_root[@]}" apt-get update -qq ||
    ! "${as_root[@]}" apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 \
        "${missing[@]}" >/dev/null; then
    echo "deps: apt failed (above); needed is, as root: $by_hand" >&2
    exit 2
fi
echo "deps: done"
