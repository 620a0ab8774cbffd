/* Text -> token ids of a T5-family vocabulary (umT5 for Wan): SentencePiece pieces, then the end
 * token.
 *
 * Sentinels <extra_id_N> that are not pieces of the model sit at the end of the vocabulary, counted
 * down: id = pieces + E - 1 - N, where E is their number in tokenizer_config.json ("extra_ids", or
 * the highest N + 1 spelled there), or 100, T5's default, where there is no such file. A sentinel,
 * or the spelling of the model's pad, end or unknown piece, in the text becomes its own id. Text
 * right behind one gets no word-start mark; text behind one and a space does, unless the sentinels
 * swallow spaces: that is so where tokenizer_config.json says "rstrip": true of <extra_id_0>, and
 * without that file (as T5Tokenizer, legacy=False, has it). */
#ifndef RS_TEXT_TOKENIZER_H
#define RS_TEXT_TOKENIZER_H

#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

typedef struct rs_tokenizer rs_tokenizer;

typedef struct rs_tokens {
    int32_t *ids;    /* [n], ends with the end token */
    int64_t n;       /* >= 1: an empty text is the end token alone */
    int64_t dropped; /* pieces cut off to keep n <= max_tokens */
} rs_tokens;

/* `path`: a tokenizer folder (spiece.model or tokenizer.model in it) or the model file. Immutable
 * afterwards: one tokenizer may be used by several threads. Errors: RS_MODEL naming the file
 * (missing, not a SentencePiece model, no end token). */
rs_status rs_tokenizer_create(rs_tokenizer **out, const char *path) RS_NODISCARD;
void rs_tokenizer_destroy(rs_tokenizer **t); /* accepts NULL, nulls the pointer */

/* Clean (rs_text_clean), encode, truncate to max_tokens >= 1 with the end token last. No padding:
 * the encoder pads with rs_tokenizer_pad_id. Errors: RS_INPUT for text that is not UTF-8. */
rs_status rs_tokenizer_encode(rs_tokens *out, rs_arena *a, const rs_tokenizer *t, const char *text,
                              int64_t max_tokens) RS_NODISCARD;

int64_t rs_tokenizer_vocab(const rs_tokenizer *t);  /* pieces and sentinels: ids are below this */
int32_t rs_tokenizer_pad_id(const rs_tokenizer *t); /* 0 where the model names none */
int32_t rs_tokenizer_eos_id(const rs_tokenizer *t);
/* Spelling of an id in the arena, for messages: "▁car", "<extra_id_3>". */
const char *rs_tokenizer_spelling(rs_arena *a, const rs_tokenizer *t, int32_t id);

#endif
