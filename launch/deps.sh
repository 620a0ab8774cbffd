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
# Tests that need these are skipped, and counted, where they cannot be installed.
optional_packages=(
    slurmctld slurmd slurm-client munge # a cluster of virtual nodes
    iproute2                            # hosts in network namespaces
    shellcheck                          # lint of the scripts
    clang-14 libclang-rt-14-dev         # thread sanitizer of the emulated CUDA backend
    python3-pip                         # NVIDIA's headers, where there is no toolkit
)
with_optional=0
case "${1:-}" in
'') ;;
--tests) with_optional=1 packages+=("${test_packages[@]}") ;;
*) echo "usage: launch/deps.sh [--tests]" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "deps: there is no apt on this system; install what corresponds to: ${packages[*]}" >&2
    exit 2
fi
missing=()
want() { # PACKAGE...: those that are not there, in `missing`
    local p
    missing=()
    for p in "$@"; do
        dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
    done
}
as_root=(env DEBIAN_FRONTEND=noninteractive)
install() {
    "${as_root[@]}" apt-get update -qq &&
        "${as_root[@]}" apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" >/dev/null
}
optional() {
    [ $with_optional -eq 1 ] || return 0
    want "${optional_packages[@]}"
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        echo "deps: not installed, their tests will be skipped: ${missing[*]}"
    else
        [ "$(id -u)" -eq 0 ] || as_root=(sudo env DEBIAN_FRONTEND=noninteractive)
        echo "deps: installing for tests on a cluster: ${missing[*]}"
        install "${missing[@]}" || echo "deps: apt failed (above); tests that need these will be skipped: ${missing[*]}"
    fi
}
want "${packages[@]}"
if [ ${#missing[@]} -eq 0 ]; then
    optional
    echo "deps: all ${#packages[@]} packages are installed"
    exit 0
fi

by_hand="apt-get install --no-install-recommends ${missing[*]}"
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "deps: packages are missing, and there is neither root nor sudo here; ask for: $by_hand" >&2
        exit 2
    fi
    as_root=(sudo "${as_root[@]}")
fi
echo "deps: installing with apt (minutes on a bare system): ${missing[*]}"
if ! install "${missing[@]}"; then
    echo "deps: apt failed (above); needed is, as root: $by_hand" >&2
    exit 2
fi
optional
echo "deps: done"
