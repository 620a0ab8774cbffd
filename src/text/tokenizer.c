#include "text/tokenizer.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/fsio.h"
#include "base/num.h"
#include "text/clean.h"
#include "text/spm.h"

enum { T5_SENTINELS = 100, MAX_SENTINELS = 100000, SPELLING_MAX = 32 };

static const char k_sentinel[] = "<extra_id_";

struct rs_tokenizer {
    rs_spm *words;     /* marks the start of a text as the start of a word */
    rs_spm *fragments; /* the same model without that */
    int64_t pieces;
    int64_t sentinels; /* behind the pieces */
    bool swallow;      /* specials take the space behind them */
};

/* Digits at *s as a number below MAX_SENTINELS; -1 if there is none. */
static int64_t read_number(const char **s)
{
    if (!isdigit((unsigned char)**s))
        return -1;
    int64_t v = 0;
    for (; isdigit((unsigned char)**s); ++*s)
        v = rs_min_i64(v * 10 + (**s - '0'), MAX_SENTINELS);
    return v < MAX_SENTINELS ? v : -1;
}

/* tokenizer_config.json has one flat key, or the sentinels themselves: no JSON reader is needed for
 * either. */
static int64_t count_sentinels(const char *json)
{
    const char *key = strstr(json, "\"extra_ids\"");
    if (key) {
        key += strlen("\"extra_ids\"");
        key += strspn(key, " \t\r\n:");
        int64_t n = read_number(&key);
        if (n >= 0)
            return n;
    }
    int64_t most = 0;
    for (const char *s = json; (s = strstr(s, k_sentinel));) {
        s += strlen(k_sentinel);
        most = rs_max_i64(most, read_number(&s) + 1);
    }
    return most;
}

/* {"content": "<extra_id_0>", "lstrip": true, "rstrip": true, ...} in any order of keys. */
static bool says_rstrip(const char *json)
{
    const char *at = strstr(json, "\"content\": \"<extra_id_0>\"");
    if (!at)
        return false;
    const char *open = at, *close = strchr(at, '}');
    while (open > json && *open != '{')
        open--;
    const char *key = strstr(open, "\"rstrip\"");
    if (!close || !key || key > close)
        return false;
    key += strlen("\"rstrip\"");
    key += strspn(key, " \t\r\n:");
    return strncmp(key, "true", 4) == 0;
}

static rs_status find_model(const char **model, rs_tokenizer *t, rs_arena *a, const char *path)
{
    t->sentinels = T5_SENTINELS;
    t->swallow = true;
    *model = path;
    const char *folder = rs_path_is_dir(path) ? path : rs_path_dirname(a, path);
    if (rs_path_is_dir(path)) {
        const char *spiece = rs_path_join(a, path, "spiece.model");
        const char *other = rs_path_join(a, path, "tokenizer.model");
        *model = rs_file_size(spiece) >= 0 ? spiece : other;
        if (rs_file_size(*model) < 0)
            return RS_FAIL(MODEL, "%s: no spiece.model or tokenizer.model in this folder", path);
    } else if (rs_file_size(path) < 0) {
        return RS_FAIL(MODEL, "%s: no such tokenizer", path);
    }
    const char *config = rs_path_join(a, folder, "tokenizer_config.json");
    if (rs_file_size(config) >= 0) {
        char *json;
        size_t bytes;
        RS_TRY(rs_read_file(&json, &bytes, a, config));
        t->sentinels = count_sentinels(json);
        t->swallow = says_rstrip(json);
    }
    return RS_OK;
}

static rs_status load(rs_tokenizer *t, rs_arena *a, const char *path)
{
    /* ModelProto.normalizer_spec.add_dummy_prefix = false; appended to a serialized model it is
     * merged into the settings that are there. */
    static const char no_prefix[] = {0x1a, 0x02, 0x18, 0x00};
    const char *model;
    char *data, reason[512] = "";
    size_t bytes;
    RS_TRY(find_model(&model, t, a, path));
    RS_TRY(rs_read_file(&data, &bytes, a, model));
    t->words = rs_spm_create(data, bytes, reason, sizeof reason);
    if (!t->words)
        return RS_FAIL(MODEL, "%s: not a SentencePiece model: %s", model, reason);
    char *more = rs_arena_alloc(a, bytes + sizeof no_prefix, 1);
    memcpy(more, data, bytes);
    memcpy(more + bytes, no_prefix, sizeof no_prefix);
    t->fragments = rs_spm_create(more, bytes + sizeof no_prefix, reason, sizeof reason);
    if (!t->fragments)
        return RS_FAIL(MODEL, "%s: not a SentencePiece model: %s", model, reason);
    if (rs_spm_eos_id(t->words) < 0)
        return RS_FAIL(MODEL, "%s: the model has no end token", model);
    t->pieces = rs_spm_pieces(t->words);
    if (rs_spm_find(t->words, "<extra_id_0>") >= 0)
        t->sentinels = 0; /* ordinary pieces of this model */
    return RS_OK;
}

rs_status rs_tokenizer_create(rs_tokenizer **out, const char *path)
{
    rs_arena *a = rs_arena_create();
    rs_tokenizer *t = rs_alloc(1, sizeof *t);
    rs_status st = load(t, a, path);
    if (st != RS_OK)
        rs_tokenizer_destroy(&t);
    *out = t;
    rs_arena_destroy(&a);
    return st;
}

void rs_tokenizer_destroy(rs_tokenizer **t)
{
    if (!t || !*t)
        return;
    rs_spm_destroy(&(*t)->words);
    rs_spm_destroy(&(*t)->fragments);
    rs_dealloc(*t);
    *t = NULL;
}

int64_t rs_tokenizer_vocab(const rs_tokenizer *t)
{
    return t->pieces + t->sentinels;
}

int32_t rs_tokenizer_pad_id(const rs_tokenizer *t)
{
    int32_t id = rs_spm_pad_id(t->words);
    return id < 0 ? 0 : id;
}

int32_t rs_tokenizer_eos_id(const rs_tokenizer *t)
{
    return rs_spm_eos_id(t->words);
}

const char *rs_tokenizer_spelling(rs_arena *a, const rs_tokenizer *t, int32_t id)
{
    if (id >= t->pieces && id < rs_tokenizer_vocab(t))
        return rs_arena_printf(a, "%s%lld>", k_sentinel,
                               (long long)(rs_tokenizer_vocab(t) - 1 - id));
    const char *piece = rs_spm_piece(t->words, id);
    return piece ? piece : "<no such token>";
}

/* Id of the special spelling at s ('<'), with its length; -1 if there is none. */
static int32_t special_at(size_t *length, const rs_tokenizer *t, const char *s)
{
    const char *end = memchr(s, '>', strnlen(s, SPELLING_MAX));
    if (!end)
        return -1;
    *length = (size_t)(end - s) + 1;
    if (strncmp(s, k_sentinel, strlen(k_sentinel)) == 0) {
        const char *digits = s + strlen(k_sentinel);
        int64_t n = read_number(&digits);
        if (digits == end && n >= 0 && n < t->sentinels)
            return rs_i32(rs_tokenizer_vocab(t) - 1 - n);
    }
    char spelling[SPELLING_MAX + 1] = "";
    memcpy(spelling, s, *length);
    int32_t id = rs_spm_find(t->words, spelling);
    bool special = id >= 0 && (id == rs_spm_pad_id(t->words) || id == rs_spm_eos_id(t->words) ||
                               id == rs_spm_unk_id(t->words) || strstr(spelling, k_sentinel));
    return special ? id : -1;
}

typedef struct id_list {
    rs_arena *arena;
    int32_t *ids;
    int64_t n;
    size_t cap;
} id_list;

static void reserve(id_list *l, int64_t n)
{
    l->ids = rs_arena_grow(l->arena, l->ids, &l->cap, (size_t)(l->n + n), sizeof *l->ids);
}

static rs_status add_text(id_list *l, const rs_spm *m, const char *s, size_t bytes)
{
    reserve(l, (int64_t)bytes + 1); /* enough unless normalisation expands the text */
    int64_t room = (int64_t)l->cap - l->n, got = rs_spm_encode(m, l->ids + l->n, room, s, bytes);
    if (got > room) {
        reserve(l, got);
        got = rs_spm_encode(m, l->ids + l->n, got, s, bytes);
    }
    if (got < 0)
        return RS_FAIL(INTERNAL, "tokenizer: %zu bytes of text cannot be encoded", bytes);
    l->n += got;
    return RS_OK;
}

/* Text between specials; behind one it starts a word only after a space that the special left. */
static rs_status encode_parts(id_list *l, const rs_tokenizer *t, const char *text)
{
    const char *from = text, *s = text;
    for (;; s++) {
        size_t length = 0;
        int32_t id = *s == '<' ? special_at(&length, t, s) : -1;
        if (*s && id < 0)
            continue;
        bool word = from == text || (*from == ' ' && !t->swallow);
        from += t->swallow && *from == ' ';
        if (s > from)
            RS_TRY(add_text(l, word ? t->words : t->fragments, from, (size_t)(s - from)));
        if (!*s)
            return RS_OK;
        reserve(l, 1);
        l->ids[l->n++] = id;
        from = s + length;
        s = from - 1;
    }
}

rs_status rs_tokenizer_encode(rs_tokens *out, rs_arena *a, const rs_tokenizer *t, const char *text,
                              int64_t max_tokens)
{
    RS_ASSERT(max_tokens >= 1);
    char *clean;
    RS_TRY(rs_text_clean(&clean, a, text));
    id_list l = {.arena = a};
    RS_TRY(encode_parts(&l, t, clean));
    reserve(&l, 1);
    int64_t keep = rs_min_i64(l.n, max_tokens - 1);
    l.ids[keep] = rs_tokenizer_eos_id(t);
    *out = (rs_tokens){.ids = l.ids, .n = keep + 1, .dropped = l.n - keep};
    return RS_OK;
}
