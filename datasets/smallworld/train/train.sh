#!/usr/bin/env bash
# Trains the small world's model from nothing: clips, tokenizer, VAE, towers, transformer. A development tool: the model
# in datasets/smallworld/model is its result. Needs reshoot-world and a Python with torch, diffusers and transformers
# (versions: tests/golden/README.md).
#   train.sh WORK_FOLDER [HOURS]     with a GPU half an hour will do; on two cores take three hours or more
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$1 hours=${2:-3}
world=${RESHOOT_WORLD:-$here/../../../build-release/reshoot-world}
python=${PYTHON:-python3}
minutes() { awk -v h="$hours" -v share="$1" 'BEGIN { printf "%.1f", h * 60 * share }'; }

# Large tensors come and go: without this glibc gives their pages back each time.
export MALLOC_MMAP_THRESHOLD_=100000000000 MALLOC_TRIM_THRESHOLD_=100000000000
model=$work/model
mkdir -p "$work"
[ -f "$work/train/captions.txt" ] || "$world" clips "$work/train" --seed 0 --count 8000
[ -f "$work/held/captions.txt" ] || "$world" clips "$work/held" --seed 1000000 --count 64
"$python" "$here/tokenizer.py" --clips "$work/train" --out "$model"
vae=("$python" "$here/vae.py" --clips "$work/train" --held "$work/held" --out "$model/vae")
"${vae[@]}" --frames 1 --crop 48 --batch 16 --minutes "$(minutes 0.03)"
"${vae[@]}" --resume --frames 5 --crop 48 --batch 4 --minutes "$(minutes 0.09)"
"${vae[@]}" --resume --frames 9 --crop 64 --batch 2 --lr 4e-4 --minutes "$(minutes 0.13)"
"$python" "$here/towers.py" --clips "$work/train" --held "$work/held" --out "$model" --minutes "$(minutes 0.05)"
"$python" "$here/encode.py" --clips "$work/train" --model "$model" --out "$work/cache" &
while [ ! -f "$work/cache/count" ] || [ "$(cat "$work/cache/count")" -lt 500 ]; do sleep 5; done
"$python" "$here/dit.py" --clips "$work/train" --cache "$work/cache" --model "$model" --minutes "$(minutes 0.7)"
"$python" "$here/finish.py" --model "$model" --out "$here/../model"
