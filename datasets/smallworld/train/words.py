"""Captions as token rows, for both towers."""

import os

import sentencepiece
import torch

PREFIX = "p3rs0n, "  # the special token that reshoot puts in front of prompts
ROWS = 32  # the longest caption with prefix and end token fits


class Words:
    def __init__(self, model):
        self.sp = sentencepiece.SentencePieceProcessor(os.path.join(model, "tokenizer", "spiece.model"))
        self.vocab = self.sp.vocab_size() + 100  # umT5's sentinels come after the pieces

    def rows(self, texts):
        """ids (B, ROWS) padded with 0, and how many are real."""
        ids = torch.zeros(len(texts), ROWS, dtype=torch.long)
        length = torch.zeros(len(texts), dtype=torch.long)
        for i, t in enumerate(texts):
            row = self.sp.encode(t) + [1]
            assert len(row) <= ROWS, t
            ids[i, : len(row)] = torch.tensor(row)
            length[i] = len(row)
        return ids, length
