#!/usr/bin/env bash
# Races against PyTorch, Diffusers, PEFT and Transformers on this machine's CPU.
#   tests/bench/peers/run.sh [race.py options]
# The peers live in a throw-away environment outside the project: $PEERS_VENV, or one that is made
# (some 5 GB, from PyPI) in the temporary folder. Needs a release build.
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
exec "$venv/bin/python" "$here/race.py" --reshoot "${RESHOOT:-$root/build-release/reshoot}" "$@"
