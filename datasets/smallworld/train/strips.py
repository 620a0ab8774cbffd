"""Rows of a comparison picture (`<output>/comparison/*.png`) at half its size: the figures of docs/proof.md.

    python strips.py IN.png OUT.png source truth no-lora motion ... --experiment configs/proof.yaml

The picture has a title and, below it, a strip for the source, the truth and each arm in the experiment's order."""

import argparse
import re

from PIL import Image

p = argparse.ArgumentParser(description=__doc__)
p.add_argument("picture")
p.add_argument("out")
p.add_argument("rows", nargs="+")
p.add_argument("--experiment", required=True)
a = p.parse_args()

with open(a.experiment) as f:
    arms = f.read().split("\narms:\n")[1].split("\nclaims:\n")[0]
names = ["source", "truth"] + re.findall(r"^  - name: (\S+)$", arms, re.M)
picture = Image.open(a.picture).convert("RGB")
TOP, TITLE, EDGE = 4, 20, 4  # src/media/sheet.c
height, rest = divmod(picture.height - TOP - TITLE, len(names))
assert rest == 0, "strips of several heights: did an arm fail?"
parts = [(TOP + TITLE + names.index(r) * height, height) for r in a.rows]
out = Image.new("RGB", (picture.width, EDGE + sum(h for _, h in parts)), picture.getpixel((0, 0)))
y = EDGE
for top, h in parts:
    out.paste(picture.crop((0, top, picture.width, top + h)), (0, y))
    y += h
out.resize((out.width // 2, out.height // 2), Image.Resampling.NEAREST).save(a.out, optimize=True)
