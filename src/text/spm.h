/* SentencePiece behind C. The only file that sees its C++ is spm.cc. */
#ifndef RS_TEXT_SPM_H
#define RS_TEXT_SPM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rs_spm rs_spm;

/* Parse a serialized model; NULL on failure with the library's reason in error[0..cap). */
rs_spm *rs_spm_create(const void *model, size_t bytes, char *error, size_t cap);
void rs_spm_destroy(rs_spm **m); /* accepts NULL, nulls the pointer */

int64_t rs_spm_pieces(const rs_spm *m);
/* Ids of the special pieces, -1 where the model has none. */
int32_t rs_spm_pad_id(const rs_spm *m);
int32_t rs_spm_eos_id(const rs_spm *m);
int32_t rs_spm_unk_id(const rs_spm *m);
/* Id of a piece, -1 if it is not in the model. */
int32_t rs_spm_find(const rs_spm *m, const char *piece);
/* Borrowed spelling of a piece; NULL outside [0, pieces). */
const char *rs_spm_piece(const rs_spm *m, int32_t id);

/* Ids of text[0..bytes): the first min(n, cap) are stored, the full n returned; -1 on a library
 * error. */
int64_t rs_spm_encode(const rs_spm *m, int32_t *ids, int64_t cap, const char *text, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
