"""The small world's SentencePiece model: every word of the captions is one piece, scored by its frequency; other text
falls back to letters and bytes. Unigram, laid out as umT5's (pad 0, end 1, begin 2, unknown 3), no normalisation table.

    python tokenizer.py --clips TRAIN --out MODEL"""

import argparse
import collections
import io
import json
import math
import os

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as pb

p = argparse.ArgumentParser(description=__doc__)
p.add_argument("--clips", required=True)
p.add_argument("--out", required=True)
a = p.parse_args()

with open(os.path.join(a.clips, "captions.txt")) as f:
    lines = f.read().splitlines()[:6000]
lines += ["p3rs0n, " + line for line in lines[:600]] + ["a b c d e f g h i j k l m n o p q r s t u v w x y z"]
data = io.BytesIO()
sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(lines), model_writer=data, model_type="unigram", vocab_size=320, hard_vocab_limit=False,
    character_coverage=1.0, byte_fallback=True, normalization_rule_name="identity", pad_id=0, eos_id=1, bos_id=2,
    unk_id=3, pad_piece="<pad>", eos_piece="</s>", bos_piece="<s>", unk_piece="<unk>", num_threads=1, minloglevel=2)
model = pb.ModelProto.FromString(data.getvalue())
known = {piece.piece for piece in model.pieces}
counts = collections.Counter(w for line in lines for w in line.replace(",", " ,").split())
total = sum(counts.values())
for word, n in sorted(counts.items()):
    piece = "\u2581" + word
    if n >= 300 and word != "," and piece not in known:
        model.pieces.add(piece=piece, score=math.log(n / total), type=pb.ModelProto.SentencePiece.NORMAL)
folder = os.path.join(a.out, "tokenizer")
os.makedirs(folder, exist_ok=True)
with open(os.path.join(folder, "spiece.model"), "wb") as f:
    f.write(model.SerializeToString())
with open(os.path.join(folder, "tokenizer_config.json"), "w") as f:
    json.dump({"tokenizer_class": "T5Tokenizer", "model_max_length": 512, "extra_ids": 100, "pad_token": "<pad>",
               "eos_token": "</s>", "unk_token": "<unk>"}, f, indent=2)
