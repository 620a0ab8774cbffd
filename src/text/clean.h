/* Prompt cleaning before tokenising, as the Wan pipelines do it. */
#ifndef RS_TEXT_CLEAN_H
#define RS_TEXT_CLEAN_H

#include "base/arena.h"
#include "base/status.h"

/* HTML entities replaced, twice ("&amp;lt;" -> "<"): numeric ones and the HTML 4 names, by HTML 5
 * rules for a missing semicolon; curly quotes made straight and control characters removed (the
 * parts of ftfy.fix_text that SentencePiece's own normalisation does not cover; mojibake is not
 * guessed at); every run of Unicode white space becomes one space, none at the ends. No
 * lowercasing. *out lives in `a`. Errors: RS_INPUT with the byte offset where `text` is not UTF-8.
 */
rs_status rs_text_clean(char **out, rs_arena *a, const char *text) RS_NODISCARD;

/* One replacement of HTML entities (Python's html.unescape). `text` is valid UTF-8. */
char *rs_html_unescape(rs_arena *a, const char *text);

#endif
