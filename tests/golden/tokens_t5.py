"""Token ids of a real SentencePiece Unigram model, written to cases/tokens.json.

`python tokens_t5.py [t5_spiece.model] [--check]`. Ids follow transformers' slow T5Tokenizer
(legacy=False): 100 sentinels `<extra_id_k>` = pieces + 99 - k that swallow the spaces around
them, no dummy prefix after a sentinel, EOS appended, at most 512. `--check` compares with that
class (it needs transformers 4).
"""

import html
import json
import re
import sys
from pathlib import Path

import ftfy
import sentencepiece

HERE = Path(__file__).resolve().parent
DEFAULT_MODEL = HERE.parents[2] / "shared/data/tokenizer/t5_spiece.model"
LIMIT, SENTINELS, EOS = 512, 100, 1

TEXTS = [
    "",
    "a cat",
    "A red car drives along a quiet street, casting a long shadow; photorealistic, 4K.",
    "p3rs0n, a woman in a blue dress walks on the beach",
    "   many     spaces \t tabs\n\nand lines\r\n   ",
    "Tom &amp; Jerry &lt;3 &quot;cheese&quot; &#39;now&#39; &#x2F; end",
    "&amp;lt;b&amp;gt;escaped twice&amp;lt;/b&amp;gt; &amp;amp;",
    "caf&eacute;&nbsp;&hellip; &copy; &notanentity; &ampersand; &#128512; &#0; &#x80; & alone",
    "Füße, naïve café, Größe — Çelik, Ελλάδα, Привет мир",
    "e\u0301 A\u030a \u1e9b\u0323 combining marks",
    "ＡＢＣ\u3000１２３！？（ｔｅｓｔ），。",
    "🚗💨 fast 👨‍👩‍👧‍👦 family 🇩🇪",
    "ﬁne ligature ½ ① ™ … x² ﷺ",
    "curly “quotes” and ‘single’ – dash",
    "schÃ¶n mojibake",
    "zero\u200bwidth\u00a0nbsp\u2003emspace\u2028line soft\u00adhyphen",
    "Donaudampfschifffahrtsgesellschaftskapitänsmütze 3.14159 1,000,000 snake_case a\u2581b",
    "镜头晃动，色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，"
    "JPEG压缩残留，丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，"
    "静止不动的画面，杂乱的背景，三条腿，背景人很多，倒着走",
    "<extra_id_0>",
    "The <extra_id_0> walks in <extra_id_1>, seats<extra_id_99>",
    "The quick brown fox jumps over the lazy dog and runs on. " * 60,
]


def clean(text):
    """The official cleaning without its first step (ftfy)."""
    text = html.unescape(html.unescape(text)).strip()
    return re.sub(r"\s+", " ", text).strip()


def encode(plain, prefixed, text):
    """Ids with sentinels; `plain` is the model without its dummy prefix."""
    parts = re.split(r"\s*(<extra_id_\d{1,2}>)\s*", text)
    ids = []
    for i, part in enumerate(parts):
        if i % 2:
            ids.append(plain.get_piece_size() + SENTINELS - 1 - int(part[10:-1]))
        elif part:
            ids += (plain if i else prefixed).encode(part)
    return ids[: LIMIT - 1] + [EOS]


def without_prefix(path):
    """The model with add_dummy_prefix off."""
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(Path(path).read_bytes())
    proto.normalizer_spec.add_dummy_prefix = False
    return sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())


def check(path, rows):
    from transformers import T5Tokenizer

    tokenizer = T5Tokenizer(path, legacy=False)
    for row in rows:
        ids = tokenizer(row["cleaned"], truncation=True, max_length=LIMIT).input_ids
        print(
            "same" if ids == row["ids"] else f"DIFFERENT {ids} {row['ids']}",
            repr(row["cleaned"][:40]),
        )


def main(args):
    path = str(next((a for a in args if a != "--check"), DEFAULT_MODEL))
    plain, prefixed = without_prefix(path), sentencepiece.SentencePieceProcessor(model_file=path)
    rows = []
    for text in TEXTS:
        cleaned = clean(text)
        row = {"text": text, "cleaned": cleaned, "ids": encode(plain, prefixed, cleaned)}
        repaired = clean(ftfy.fix_text(text))
        if repaired != cleaned:
            row["with_ftfy"] = {"cleaned": repaired, "ids": encode(plain, prefixed, repaired)}
        rows.append(row)
    doc = {
        "model": "t5_spiece.model",
        "pieces": plain.get_piece_size(),
        "extra_ids": SENTINELS,
        "max_length": LIMIT,
        "source": f"sentencepiece {sentencepiece.__version__}, ftfy {ftfy.__version__}",
        "texts": rows,
    }
    lines = json.dumps(doc, ensure_ascii=False, separators=(",", ":")).replace(
        '{"text"', '\n{"text"'
    )
    (HERE / "cases/tokens.json").write_text(lines + "\n")
    if "--check" in args:
        check(path, rows)


if __name__ == "__main__":
    main(sys.argv[1:])
