// text: prompt cleaning, SentencePiece encoding, sentinels, golden ids.
#include <jansson.h>
#include <string.h>

#include "base/fsio.h"
#include "harness/test.h"
#include "text/clean.h"
#include "text/tokenizer.h"

static const char *small_model(void)
{
    return RS_SOURCE_DIR "/datasets/smallmodel/tokenizer";
}

static void check_clean(const char *text, const char *want)
{
    char *got;
    T_OK(rs_text_clean(&got, t_arena(), text));
    T_EQ_S(got, want);
}

static void t_clean_collapses_space(void)
{
    check_clean("", "");
    check_clean(" \t\r\n ", "");
    check_clean("  a \t\n b  ", "a b");
    check_clean("a\u00a0\u2003b\u3000", "a b");
    check_clean("A Car", "A Car");
}

static void t_clean_unescapes_twice(void)
{
    check_clean("Tom &amp; Jerry &lt;3", "Tom & Jerry <3");
    check_clean("&amp;lt;b&amp;gt;", "<b>");
    check_clean("&amp;amp;amp;", "&amp;");
    check_clean("caf&eacute;&nbsp;&hellip;", "café …");
    check_clean("&#39;now&#39; &#x2F; &#X41;", "'now' / A");
    check_clean("&#128512;", "😀");
}

/* The corners of the HTML 5 rule; expected values from Python's html.unescape. */
static void t_unescape_follows_html5(void)
{
    static const char *const rows[][2] = {
        {"&notit; &ampersand &copy2", "¬it; &ersand ©2"},
        {"&hellip &Alpha", "&hellip &Alpha"}, /* not known without a semicolon */
        {"&; & &# &#; &#x; &#xg;", "&; & &# &#; &#x; &#xg;"},
        {"&#0; &#x80; &#150;", "\uFFFD € –"},
        {"&#xD800; &#x110000; &#99999999999;", "\uFFFD \uFFFD \uFFFD"},
        {"a&#1;b&#xFDD0;c&#xFFFF;", "abc"},
        {"&#65 &#65x", "A Ax"},
        {"&apos;&quot&QUOT;", "'\"\""},
        {"&frac12;&szlig&thorn;", "½ßþ"},
        {"tail &", "tail &"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        T_EQ_S(rs_html_unescape(t_arena(), rows[i][0]), rows[i][1]);
}

static void t_clean_straightens_quotes_and_drops_controls(void)
{
    check_clean("“a” ‘b’ it’s", "\"a\" 'b' it's");
    check_clean("a\x01\x7f\xef\xbb\xbf"
                "b\x1b",
                "ab");
}

static void t_clean_refuses_what_is_not_utf8(void)
{
    static const char *const bad[] = {
        "abc\xff", "abc\xc3", "abc\xc0\x80", "abc\xed\xa0\x80", "abc\xf4\x90\x80\x80", "abc\x80"};
    char *got;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        T_FAILS(rs_text_clean(&got, t_arena(), bad[i]), INPUT, "not UTF-8 at byte 3");
}

static rs_tokens encode(const rs_tokenizer *t, const char *text, int64_t max)
{
    rs_tokens k;
    T_OK(rs_tokenizer_encode(&k, t_arena(), t, text, max));
    T_CHECK(k.n >= 1 && k.n <= max);
    T_EQ_I(k.ids[k.n - 1], rs_tokenizer_eos_id(t));
    for (int64_t i = 0; i < k.n; i++)
        T_CHECK(k.ids[i] >= 0 && k.ids[i] < rs_tokenizer_vocab(t));
    return k;
}

static void check_ids(const rs_tokenizer *t, const char *text, const json_t *want, int64_t max)
{
    rs_tokens k = encode(t, text, max);
    T_EQ_I(k.n, json_array_size(want));
    for (int64_t i = 0; i < k.n; i++)
        T_CHECKF(k.ids[i] == json_integer_value(json_array_get(want, (size_t)i)),
                 "\"%.60s\": id %lld is %d, want %lld", text, (long long)i, k.ids[i],
                 (long long)json_integer_value(json_array_get(want, (size_t)i)));
}

/* Text that Python's ftfy would have repaired by guessing, which rs_text_clean does not. */
static bool is_guess(const char *text)
{
    return strstr(text, "mojibake") != NULL;
}

static void t_golden_ids_of_a_real_model(void)
{
    const char *data = t_shared_data(), *golden = RS_SOURCE_DIR "/tests/golden/cases/tokens.json";
    if (!data || !rs_path_exists(golden))
        rs_test_skip("needs ../shared/data/tokenizer and tests/golden/cases/tokens.json");
    json_error_t why;
    json_t *doc = json_load_file(golden, 0, &why);
    T_CHECKF(doc, "%s: %s", golden, why.text);
    rs_tokenizer *t;
    T_OK(rs_tokenizer_create(&t, rs_path_join(t_arena(), data, "tokenizer/t5_spiece.model")));
    int64_t extra = json_integer_value(json_object_get(doc, "extra_ids"));
    T_EQ_I(rs_tokenizer_vocab(t), json_integer_value(json_object_get(doc, "pieces")) + extra);
    json_t *rows = json_object_get(doc, "texts"), *row;
    size_t i;
    T_CHECK(json_array_size(rows) >= 15);
    json_array_foreach(rows, i, row)
    {
        const char *text = json_string_value(json_object_get(row, "text"));
        json_t *repaired = json_object_get(row, "with_ftfy");
        check_ids(t, text, json_object_get(repaired && !is_guess(text) ? repaired : row, "ids"),
                  json_integer_value(json_object_get(doc, "max_length")));
    }
    rs_tokenizer_destroy(&t);
    json_decref(doc);
}

static void check_row(const rs_tokenizer *t, const char *text, int64_t n, const int32_t *want)
{
    rs_tokens k = encode(t, text, 512);
    T_EQ_I(k.n, n);
    for (int64_t i = 0; i < n; i++)
        T_EQ_I(k.ids[i], want[i]);
}
#define IDS(...)                                                                                   \
    (int64_t)(sizeof((int32_t[]){__VA_ARGS__}) / 4), (int32_t[])                                   \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

/* Ids from Python's sentencepiece over the committed model; 768 pieces, 100 sentinels. */
static void t_small_model(void)
{
    rs_tokenizer *t;
    T_OK(rs_tokenizer_create(&t, small_model()));
    T_EQ_I(rs_tokenizer_vocab(t), 868);
    T_EQ_I(rs_tokenizer_pad_id(t), 0);
    T_EQ_I(rs_tokenizer_eos_id(t), 1);
    check_row(t, "", IDS(1));
    check_row(t, "a red car turns into a street", IDS(260, 300, 279, 289, 265, 281, 260, 299, 1));
    check_row(t, "p3rs0n, a sprite", IDS(280, 317, 314, 285, 273, 261, 260, 306, 309, 1));
    check_row(t, "Ünïcode 镜",
              IDS(262, 199, 160, 273, 199, 179, 608, 395, 275, 262, 237, 153, 160, 1));
    T_EQ_S(rs_tokenizer_spelling(t_arena(), t, 300), "\u2581red");
    T_EQ_S(rs_tokenizer_spelling(t_arena(), t, 867), "<extra_id_0>");
    rs_tokenizer_destroy(&t);
    T_CHECK(!t);
}

static void t_sentinels_keep_the_space_that_they_are_told_to(void)
{
    rs_tokenizer *keeps, *takes;
    T_OK(rs_tokenizer_create(&keeps, small_model())); /* its config says nothing of rstrip */
    char *folder = rs_path_join(t_arena(), t_tmpdir(), "tok");
    T_OK(rs_make_dirs(folder));
    char *model;
    size_t bytes;
    T_OK(rs_read_file(&model, &bytes, t_arena(),
                      rs_path_join(t_arena(), small_model(), "spiece.model")));
    T_OK(rs_write_file_atomic(rs_path_join(t_arena(), folder, "tokenizer.model"), model, bytes));
    const char *config = "{\"added_tokens_decoder\": {\"799\": {\"content\": \"<extra_id_0>\","
                         "\"lstrip\": true, \"rstrip\": true}, \"768\": {\"content\":"
                         "\"<extra_id_31>\", \"rstrip\": false}}}";
    T_OK(rs_write_file_atomic(rs_path_join(t_arena(), folder, "tokenizer_config.json"), config,
                              strlen(config)));
    T_OK(rs_tokenizer_create(&takes, folder));
    T_EQ_I(rs_tokenizer_vocab(takes), 800); /* the highest spelled sentinel is 31 */
    check_row(keeps, "a <extra_id_0> red", IDS(260, 867, 300, 1));
    check_row(keeps, "<extra_id_2>,<extra_id_99>", IDS(865, 261, 768, 1));
    check_row(takes, "a <extra_id_0>,", IDS(260, 799, 261, 1));
    rs_tokens bare = encode(takes, "a <extra_id_0> red", 512);
    T_CHECK(bare.ids[1] == 799 && bare.ids[2] != 300); /* "red" without its word mark */
    /* no sentinel: beyond the last, not a number, not closed */
    rs_tokens plain = encode(takes, "<extra_id_32> <extra_id_x> <extra_id_0", 512);
    for (int64_t i = 0; i < plain.n; i++)
        T_CHECK(plain.ids[i] < 768);
    check_row(keeps, "</s><pad>", IDS(1, 0, 1));
    rs_tokenizer_destroy(&keeps);
    rs_tokenizer_destroy(&takes);
}

static void t_truncation_keeps_the_end(void)
{
    rs_tokenizer *t;
    T_OK(rs_tokenizer_create(&t, small_model()));
    rs_tokens all = encode(t, "a red car turns into a street", 512);
    T_EQ_I(all.dropped, 0);
    for (int64_t max = 1; max <= all.n; max++) {
        rs_tokens k = encode(t, "a red car turns into a street", max);
        T_EQ_I(k.n, max);
        T_EQ_I(k.dropped, all.n - max);
        T_CHECK(memcmp(k.ids, all.ids, (size_t)(max - 1) * sizeof *k.ids) == 0);
    }
    char *text = rs_arena_alloc(t_arena(), 200001, 1);
    memset(text, 'x', 200000);
    rs_tokens k = encode(t, text, 512);
    T_EQ_I(k.n, 512);
    T_CHECK(k.dropped > 1000);
    rs_tokenizer_destroy(&t);
}

static void t_bad_models_are_named(void)
{
    rs_tokenizer *t;
    T_FAILS(rs_tokenizer_create(&t, "/nowhere/tok"), MODEL, "/nowhere/tok: no such tokenizer");
    T_CHECK(!t);
    T_FAILS(rs_tokenizer_create(&t, t_tmpdir()), MODEL, "no spiece.model or tokenizer.model");
    char *path = rs_path_join(t_arena(), t_tmpdir(), "spiece.model");
    T_OK(rs_write_file_atomic(path, "not a model at all", 18));
    T_FAILS(rs_tokenizer_create(&t, t_tmpdir()), MODEL, "spiece.model: not a SentencePiece model");
    T_OK(rs_write_file_atomic(path, "", 0));
    T_FAILS(rs_tokenizer_create(&t, path), MODEL, "spiece.model: not a SentencePiece model");
    char *model;
    size_t bytes;
    T_OK(rs_read_file(&model, &bytes, t_arena(),
                      rs_path_join(t_arena(), small_model(), "spiece.model")));
    for (size_t cut = 1; cut < bytes; cut += 997) { /* truncated: an error or a shorter model */
        T_OK(rs_write_file_atomic(path, model, cut));
        if (rs_tokenizer_create(&t, path) == RS_OK)
            rs_tokenizer_destroy(&t);
        else
            T_CHECK(strstr(rs_error_message(), "spiece.model") != NULL);
    }
}

static const rs_test_case k_cases[] = {
    T_CASE(t_clean_collapses_space),
    T_CASE(t_clean_unescapes_twice),
    T_CASE(t_unescape_follows_html5),
    T_CASE(t_clean_straightens_quotes_and_drops_controls),
    T_CASE(t_clean_refuses_what_is_not_utf8),
    T_CASE(t_golden_ids_of_a_real_model),
    T_CASE(t_small_model),
    T_CASE(t_sentinels_keep_the_space_that_they_are_told_to),
    T_CASE(t_truncation_keeps_the_end),
    T_CASE(t_bad_models_are_named),
};

RS_TEST_MAIN(k_cases)
