// Strings: edit distance and the nearest known word.
#include <limits.h>
#include <math.h>

#include "base/str.h"
#include "harness/test.h"

static void t_distance_counts_slips(void)
{
    T_EQ_I(rs_edit_distance("steps", "steps"), 0);
    T_EQ_I(rs_edit_distance("steps", "step"), 1);
    T_EQ_I(rs_edit_distance("steps", "stpes"), 1);
    T_EQ_I(rs_edit_distance("kitten", "sitting"), 3);
    T_EQ_I(rs_edit_distance("", "abc"), 3);
    T_EQ_I(rs_edit_distance("a", "a-word-of-more-than-forty-letters-in-one-piece"), INT_MAX);
}

static void t_nearest_is_a_slip_or_nothing(void)
{
    const char *const words[] = {"run", "check", "schema"};
    T_EQ_S(rs_nearest("chekc", words, 3), "check");
    T_EQ_S(rs_nearest("shema", words, 3), "schema");
    T_CHECK(rs_nearest("verify", words, 3) == NULL);
    T_CHECK(rs_nearest("", words, 3) == NULL);
    T_CHECK(rs_nearest("run", words, 0) == NULL);
}

static void t_seconds_in_units_that_fit(void)
{
    static const struct {
        double s;
        const char *text;
    } want[] = {
        {0, "0.00 s"},        {9.994, "9.99 s"},    {9.996, "10 s"},        {59.4, "59 s"},
        {59.6, "1 min 00 s"}, {725, "12 min 05 s"}, {3599.6, "1 h 00 min"}, {86399, "23 h 59 min"},
        {90000, "1 d 01 h"},  {NAN, "-"},           {INFINITY, "-"}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        T_EQ_S(rs_seconds_text(t_arena(), want[i].s), want[i].text);
}

static const rs_test_case cases[] = {
    T_CASE(t_distance_counts_slips),
    T_CASE(t_seconds_in_units_that_fit),
    T_CASE(t_nearest_is_a_slip_or_nothing),
};
RS_TEST_MAIN(cases)
