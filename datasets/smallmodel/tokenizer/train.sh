#!/usr/bin/env bash
# Makes spiece.model from captions.txt: a unigram model laid out as umT5's (pad 0, end 1, begin 2, unknown 3, byte
# pieces), without its 240 kB normalisation table. Needs spm_train (Debian: sentencepiece). Same text, same bytes.
set -euo pipefail
cd "$(dirname "$0")"
spm_train --input=captions.txt --model_prefix=spiece --model_type=unigram --vocab_size=768 \
  --character_coverage=1.0 --byte_fallback=true --normalization_rule_name=identity \
  --pad_id=0 --eos_id=1 --bos_id=2 --unk_id=3 \
  --pad_piece='<pad>' --eos_piece='</s>' --bos_piece='<s>' --unk_piece='<unk>' --num_threads=1
rm -f spiece.vocab
