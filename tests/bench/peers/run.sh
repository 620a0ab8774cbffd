#!/usr/bin/env bash
# Races against PyTorch, Diffusers, PEFT and Transformers on this machine's CPU.
#   tests/bench/peers/run.sh           everything, and the tables; --table: only print them again
#   tests/bench/peers/run.sh --help
# The peers live in a throw-away environment outside the project: $PEERS_VENV, or one that is made
# (some 5 GB, from PyPI) in the temporary folder. stable-diffusion.cpp joins the sampling races where
# sdcpp/fetch.sh has built it. Needs a release build.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
venv=${PEERS_VENV:-${TMPDIR:-/tmp}/reshoot-peers-venv}
if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --no-cache-dir torch numpy safetensors diffusers transformers peft
fi
# On some hosts these are set for old OpenBLAS builds; they would slow the peers down.
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
export OMP_WAIT_POLICY=PASSIVE # the same cores are the other side's turn
sdcpp=${SDCPP_SIDE:-${TMPDIR:-/tmp}/reshoot-sdcpp/build/sdcpp_side}
[ -x "$sdcpp" ] && set -- --sdcpp "$sdcpp" "$@"
exec "$venv/bin/python" "$here/race.py" --reshoot "${RESHOOT:-$root/build-release/reshoot}" \
    --out "$root/build-release/races.json" "$@"
