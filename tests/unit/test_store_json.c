// store: JSON reading (types, defaults, errors that name file and key) and writing.
#include <math.h>
#include <string.h>

#include "base/fsio.h"
#include "harness/test.h"
#include "store/json.h"
#include "store/json_writer.h"

static rs_json *parse(const char *text)
{
    rs_json *v = NULL;
    T_OK(rs_json_parse(&v, text, strlen(text), "c.json"));
    return v;
}

static void t_required_members_by_type(void)
{
    rs_json *d = parse("{\"i\": -3, \"f\": 2.5, \"b\": true, \"s\": \"\\u00e9x\", \"n\": null,"
                       " \"a\": [1, 2, 3], \"r\": [1, 0.5], \"o\": {\"k\": 7}, \"e\": []}");
    int64_t i, n, *v;
    double f, *r;
    bool b;
    const char *s;
    const rs_json *o;
    T_OK(rs_json_i64(&i, d, "i"));
    T_EQ_I(i, -3);
    T_OK(rs_json_f64(&f, d, "f"));
    T_CHECK(f == 2.5);
    T_OK(rs_json_f64(&f, d, "i"));
    T_CHECK(f == -3.0);
    T_OK(rs_json_bool(&b, d, "b"));
    T_CHECK(b);
    T_OK(rs_json_string(&s, d, "s"));
    T_EQ_S(s, "\xc3\xa9x");
    T_OK(rs_json_i64_array(&v, &n, t_arena(), d, "a"));
    T_CHECK(n == 3 && v[0] == 1 && v[2] == 3);
    T_OK(rs_json_f64_array(&r, &n, t_arena(), d, "r"));
    T_CHECK(n == 2 && r[0] == 1.0 && r[1] == 0.5);
    T_OK(rs_json_i64_array(&v, &n, t_arena(), d, "e"));
    T_CHECK(n == 0);
    T_OK(rs_json_object(&o, d, "o"));
    T_EQ_S(rs_json_where(o), "o");
    T_OK(rs_json_i64_in(&i, o, "k", 0, 7));
    T_CHECK(rs_json_has(d, "i") && !rs_json_has(d, "n") && !rs_json_has(d, "x"));
    T_CHECK(rs_json_is_null(d, "n") && !rs_json_is_null(d, "x") && !rs_json_is_null(d, "i"));
    T_CHECK(rs_json_find(d, "x") == NULL && rs_json_type_of(d) == RS_JSON_OBJECT);
    rs_json_destroy(&d);
    T_CHECK(!d);
}

static void t_defaults_only_for_absent_or_null(void)
{
    rs_json *d = parse("{\"n\": null, \"s\": \"text\", \"k\": 5, \"z\": false}");
    int64_t i;
    double f;
    bool b;
    const char *s;
    T_OK(rs_json_i64_or(&i, d, "n", 9));
    T_EQ_I(i, 9);
    T_OK(rs_json_i64_or(&i, d, "k", 9));
    T_EQ_I(i, 5);
    T_OK(rs_json_f64_or(&f, d, "x", 1.5));
    T_CHECK(f == 1.5);
    T_OK(rs_json_bool_or(&b, d, "z", true));
    T_CHECK(!b);
    T_OK(rs_json_string_or(&s, d, "x", NULL));
    T_CHECK(!s);
    T_OK(rs_json_i64_in_or(&i, d, "x", 1, 2, 8));
    T_EQ_I(i, 8);
    T_FAILS(rs_json_i64_in_or(&i, d, "k", 1, 2, 8), FORMAT, "c.json: k: 5 is not in 1..2");
    T_FAILS(rs_json_i64_or(&i, d, "s", 9), FORMAT,
            "c.json: s: expected an integer, found a string");
    rs_json_destroy(&d);
}

static void t_errors_name_file_and_key(void)
{
    rs_json *d = parse("{\"a\": {\"b\": [1, \"two\", 3.5]}, \"n\": null}");
    int64_t i, n, *v;
    const rs_json *a, *o;
    T_OK(rs_json_object(&a, d, "a"));
    T_FAILS(rs_json_i64_array(&v, &n, t_arena(), a, "b"), FORMAT,
            "c.json: a.b[1]: expected an integer, found a string");
    T_FAILS(rs_json_i64(&i, a, "missing"), FORMAT, "c.json: a.missing: missing");
    T_FAILS(rs_json_i64(&i, d, "n"), FORMAT, "c.json: n: expected an integer, found null");
    T_FAILS(rs_json_object(&o, a, "b"), FORMAT, "c.json: a.b: expected an object, found an array");
    T_FAILS(rs_json_array(&o, d, "a"), FORMAT, "c.json: a: expected an array, found an object");
    T_OK(rs_json_array(&o, a, "b"));
    T_FAILS(rs_json_i64(&i, o, "k"), FORMAT, "c.json: a.b: expected an object, found an array");
    T_FAILS(rs_json_i64_or(&i, o, "k", 1), FORMAT, "a.b: expected an object");
    T_FAILS(rs_json_as_i64(&i, rs_json_at(o, 2)), FORMAT, "a.b[2]: expected an integer, found a n");
    rs_json_destroy(&d);
}

static void t_syntax_errors_have_line_and_column(void)
{
    static const struct {
        const char *text, *want;
    } bad[] = {
        {"{\"a\": 1,\n \"b\": }", "c.json:2:7: unexpected token"},
        {"", "c.json:1:0: "},
        {"{\"a\": 1, \"a\": 2}", "duplicate object key"},
        {"{\"a\": 1} x", "end of file expected"},
        {"{\"a\": 99999999999999999999}", "too big"},
        {"[\"\xff\"]", "unable to decode"},
        {"{\"a\": NaN}", "invalid token"},
        {"[\"\\u0000\"]", "\\u0000 is not allowed"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        rs_json *d = NULL;
        T_FAILS(rs_json_parse(&d, bad[i].text, strlen(bad[i].text), "c.json"), FORMAT, bad[i].want);
        T_CHECK(!d);
    }
    char deep[5000];
    memset(deep, '[', sizeof deep);
    rs_json *d = NULL;
    T_FAILS(rs_json_parse(&d, deep, sizeof deep, "c.json"), FORMAT, "maximum parsing depth");
    T_FAILS(rs_json_load(&d, "/nonexistent.json"), IO, "/nonexistent.json");
}

static void t_iteration_keeps_file_order(void)
{
    rs_json *d = parse("{\"z\": 1, \"a\": 2, \"m\": [10, 20]}");
    char keys[8] = "";
    for (rs_json_iter it = {0}; rs_json_next(d, &it);)
        memcpy(keys + strlen(keys), it.key, 2);
    T_EQ_S(keys, "zam");
    const rs_json *m;
    T_OK(rs_json_array(&m, d, "m"));
    T_EQ_I(rs_json_size(m), 2);
    int64_t v;
    T_OK(rs_json_as_i64(&v, rs_json_at(m, 1)));
    T_EQ_I(v, 20);
    T_EQ_S(rs_json_where(rs_json_at(m, 1)), "m[1]");
    rs_json_destroy(&d);
}

static void t_writer_round_trips(void)
{
    rs_jsonw *w = rs_jsonw_create(t_arena(), true);
    rs_jsonw_object(w, NULL);
    rs_jsonw_string(w, "s", "q\" b\\ n\n t\t \x01 \xc3\xa9 bad\xff\xc0\xaf");
    rs_jsonw_i64(w, "i", INT64_MIN);
    rs_jsonw_array(w, "f");
    rs_jsonw_f64(w, NULL, 0.1);
    rs_jsonw_f64(w, NULL, 1.0 / 3.0);
    rs_jsonw_f64(w, NULL, 4.0);
    rs_jsonw_f64(w, NULL, 5e-324);
    rs_jsonw_f64(w, NULL, NAN);
    rs_jsonw_end(w);
    rs_jsonw_object(w, "empty");
    rs_jsonw_end(w);
    rs_jsonw_bool(w, "b", false);
    rs_jsonw_null(w, "n");
    rs_jsonw_end(w);
    const char *text = rs_jsonw_text(w);
    T_CHECK(strstr(text, "\n    0.1,\n") && strstr(text, "\n  \"empty\": {},\n"));
    rs_json *d = parse(text);
    const char *s;
    int64_t i;
    double f;
    const rs_json *a;
    T_OK(rs_json_string(&s, d, "s"));
    T_EQ_S(s, "q\" b\\ n\n t\t \x01 \xc3\xa9 bad\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    T_OK(rs_json_i64(&i, d, "i"));
    T_CHECK(i == INT64_MIN);
    T_OK(rs_json_array(&a, d, "f"));
    const double want[] = {0.1, 1.0 / 3.0, 4.0, 5e-324};
    for (int k = 0; k < 4; k++) {
        T_OK(rs_json_as_f64(&f, rs_json_at(a, k)));
        T_CHECK(f == want[k]);
        T_EQ_I(rs_json_type_of(rs_json_at(a, k)), RS_JSON_REAL);
    }
    T_EQ_I(rs_json_type_of(rs_json_at(a, 4)), RS_JSON_NULL);
    T_CHECK(rs_json_is_null(d, "n"));
    rs_json_destroy(&d);
}

static const rs_test_case cases[] = {
    T_CASE(t_required_members_by_type),   T_CASE(t_defaults_only_for_absent_or_null),
    T_CASE(t_errors_name_file_and_key),   T_CASE(t_syntax_errors_have_line_and_column),
    T_CASE(t_iteration_keeps_file_order), T_CASE(t_writer_round_trips),
};
RS_TEST_MAIN(cases)
