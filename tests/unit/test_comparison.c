// job: means, standard errors and verdicts against values computed by hand; what the comparison
// writes.
#include <math.h>
#include <string.h>

#include "base/fsio.h"
#include "harness/test.h"
#include "job/comparison.h"
#include "store/json.h"

/* Sums of a few small numbers: a dozen roundings. */
#define TOL 1e-14

static void t_means_and_standard_errors(void)
{
    /* mean 5, squared deviations 9+1+1+1+0+0+4+16 = 32: se = sqrt(32/7/8) = sqrt(4/7) */
    const double v[] = {2, 4, 4, 4, 5, 5, 7, 9};
    rs_stat s = rs_stat_of(v, 8);
    T_EQ_I(s.n, 8);
    T_NEAR(s.mean, 5, TOL);
    T_NEAR(s.se, 0.75592894601845440, TOL);
    /* 1, 3: deviations 1, 1: se = sqrt(2/1/2) = 1 */
    const double holes[] = {NAN, 1, INFINITY, 3, -INFINITY};
    s = rs_stat_of(holes, 5);
    T_EQ_I(s.n, 2);
    T_EQ_I(s.infinite, 2);
    T_NEAR(s.mean, 2, TOL);
    T_NEAR(s.se, 1, TOL);
    s = rs_stat_of(v, 1);
    T_CHECK(s.n == 1 && s.mean == 2 && isnan(s.se));
    s = rs_stat_of(v, 0);
    T_CHECK(s.n == 0 && isnan(s.mean) && isnan(s.se));
    s = rs_stat_of((const double[]){7, 7, 7}, 3);
    T_CHECK(s.mean == 7 && s.se == 0);
    /* 1e9 apart from zero the deviations are still exact */
    s = rs_stat_of((const double[]){1e9 + 1, 1e9 + 3}, 2);
    T_CHECK(s.mean == 1e9 + 2 && s.se == 1);
}

static void t_paired_differences(void)
{
    /* differences 1, 3 (and pairs with a hole): mean 2, se 1 */
    const double a[] = {5, 8, NAN, 1, INFINITY}, b[] = {4, 5, 1, NAN, 3};
    rs_stat s = rs_stat_paired(a, b, 5);
    T_EQ_I(s.n, 2);
    T_EQ_I(s.infinite, 1);
    T_NEAR(s.mean, 2, TOL);
    T_NEAR(s.se, 1, TOL);
    T_CHECK(rs_stat_above(s, -0.01));
    T_CHECK(!rs_stat_above(s, 0)); /* 2 - 2 x 1 is not above 0 */
    T_CHECK(!rs_stat_above((rs_stat){.n = 1, .mean = 9, .se = NAN}, 0));
    T_CHECK(!rs_stat_above((rs_stat){.mean = NAN, .se = NAN}, 0));
    T_CHECK(rs_stat_above((rs_stat){.n = 2, .mean = 1, .se = 0}, 0.5));
}

enum { PAIRS = 4 };

/* Outcomes of four pairs with these PSNRs and motion errors; NAN psnr: the job failed. */
static rs_outcomes outcomes(const double *psnr, const double *error, double train_s)
{
    rs_outcomes l = {.items = RS_NEW(t_arena(), rs_outcome, PAIRS), .n = PAIRS};
    for (int i = 0; i < PAIRS; i++) {
        bool ok = !isnan(psnr[i]);
        l.items[i] = (rs_outcome){.video = i < 2 ? "ball" : "block",
                                  .edit = i % 2 ? "green" : "gold",
                                  .status = ok ? RS_OK : RS_INPUT,
                                  .stage = ok ? NULL : "edit",
                                  .reason = ok ? NULL : "a|b went wrong",
                                  .measures = rs_measures_none(),
                                  .train_s = train_s + i,
                                  .sample_s = NAN};
        l.items[i].measures.v[RS_MEASURE_PSNR] = ok ? psnr[i] : 99;
        l.items[i].measures.v[RS_MEASURE_MOTION_ERROR] = error[i];
    }
    return l;
}

static rs_arm s_arms[] = {{.name = "none", .note = "a | b", .set = "motion.steps=0"},
                          {.name = "motion", .note = "", .set = ""},
                          {.name = "absent", .note = "", .set = ""}};

static rs_claim claim(int64_t measure, int64_t arm, int64_t than, bool no_worse, double margin)
{
    return (rs_claim){.name = "c",
                      .says = "it is so",
                      .where = "e.yaml:1:1",
                      .measure = measure,
                      .arm = arm,
                      .than = than,
                      .no_worse = no_worse,
                      .margin = margin};
}

/* PSNR: motion - none = 1 (a failed pair), 2, 3, -> over the pairs of both 2, 3, 4: mean 3, se
 * 1/sqrt(3) = 0.577; motion errors -1, -1, -1, ... */
static rs_comparison compared(rs_claim *claims, int64_t n)
{
    static const double psnr0[] = {20, 21, 22, 23}, psnr1[] = {NAN, 23, 25, 27};
    static const double error0[] = {5, 5, 6, NAN}, error1[] = {1, 4, 5, 2};
    rs_outcomes *l = RS_NEW(t_arena(), rs_outcomes, 3);
    rs_arms *arms = RS_NEW(t_arena(), rs_arms, 1);
    l[0] = outcomes(psnr0, error0, 10);
    l[1] = outcomes(psnr1, error1, 2);
    *arms = (rs_arms){.items = s_arms, .n = 3, .claims = claims, .n_claims = n};
    return rs_compare(t_arena(), "proof", arms, l);
}

static void t_failed_pairs_do_not_count(void)
{
    rs_comparison c = compared(NULL, 0);
    T_EQ_I(c.n_pairs, 4);
    T_EQ_I(c.n_failed, 1);
    T_EQ_I(c.arms[0].failed, 0);
    T_EQ_I(c.arms[1].failed, 1);
    T_EQ_I(c.arms[2].outcomes->n, 0);
    T_NEAR(c.arms[0].stats[RS_MEASURE_PSNR].mean, 21.5, TOL * 100);
    T_EQ_I(c.arms[1].stats[RS_MEASURE_PSNR].n, 3);
    T_NEAR(c.arms[1].stats[RS_MEASURE_PSNR].mean, 25, TOL * 100);
    T_EQ_I(c.arms[0].stats[RS_MEASURE_MOTION_ERROR].n, 3);
    T_EQ_I(c.arms[1].stats[RS_COMPARED_TRAIN_S].n, 3);
    T_CHECK(c.shown[RS_MEASURE_PSNR] && c.shown[RS_COMPARED_TRAIN_S]);
    T_CHECK(!c.shown[RS_MEASURE_SSIM] && !c.shown[RS_COMPARED_SAMPLE_S]);
}

static void t_verdicts(void)
{
    enum { PSNR = RS_MEASURE_PSNR, ERROR = RS_MEASURE_MOTION_ERROR, TRAIN = RS_COMPARED_TRAIN_S };
    rs_claim claims[] = {
        claim(PSNR, 1, 0, false, 0),   /* 3 - 1.155 > 0 */
        claim(PSNR, 0, 1, false, 0),   /* -3 */
        claim(PSNR, 1, 0, false, 1.8), /* 3 - 1.155 = 1.845 > 1.8 */
        claim(PSNR, 1, 0, false, 1.9),
        claim(PSNR, 0, 1, true, 4.1), /* -3 - 1.155 < -4.1 */
        claim(PSNR, 0, 1, true, 4.2),
        claim(ERROR, 1, 0, false, 0), /* lower is better: -1, -1: se 0 */
        claim(ERROR, 0, 1, false, 0),
        claim(TRAIN, 1, 0, false, 7.9), /* 8 s less each */
        claim(PSNR, 2, 0, false, 0),    /* did not run */
        claim(RS_MEASURE_SSIM, 1, 0, false, 0),
    };
    static const rs_verdict want[] = {RS_VERDICT_YES,      RS_VERDICT_NO,      RS_VERDICT_YES,
                                      RS_VERDICT_NO,       RS_VERDICT_NO,      RS_VERDICT_YES,
                                      RS_VERDICT_YES,      RS_VERDICT_NO,      RS_VERDICT_YES,
                                      RS_VERDICT_UNTESTED, RS_VERDICT_UNTESTED};
    int n = (int)(sizeof claims / sizeof claims[0]);
    rs_comparison c = compared(claims, n);
    for (int i = 0; i < n; i++)
        T_CHECKF(c.claims[i].verdict == want[i], "claim %d: %s", i,
                 rs_verdict_text(c.claims[i].verdict));
    T_EQ_I(c.claims[0].difference.n, 3);
    T_NEAR(c.claims[0].difference.mean, 3, TOL * 100);
    T_NEAR(c.claims[0].difference.se, 0.57735026918962576, TOL * 100);
    T_EQ_I(c.claims[6].difference.n, 2);
    T_NEAR(c.claims[6].difference.mean, -1, TOL);
    T_EQ_I(c.claims[10].difference.n, 0);
}

static void t_texts(void)
{
    static const char *const md[] = {
        "# proof: comparison\n",
        "| arm | pairs | failed | psnr [dB] ↑ | motion_error [px] ↓ | train_s [s] ↓ |\n",
        "| none | 4 | 0 | 21.50 ± 0.65 | 5.33 ± 0.33 (n 3) | 11.50 ± 0.65 |\n",
        "| motion | 3 | 1 | 25.00 ± 1.15 | 3.67 ± 0.88 | 4.00 ± 0.58 |\n",
        "| absent | 0 | 0 | – | – | – |\n",
        "| none | `motion.steps=0` | a \\| b |\n",
        "| c | it is so | psnr [dB] ↑ | motion | better than none | +3.000 ± 0.577 dB | 3 | "
        "reproduced |\n",
        "| c | it is so | psnr [dB] ↑ | none | not worse than motion by 4.1 | -3.000 ± 0.577 dB | "
        "3 | not reproduced |\n",
        "- motion: ball#gold: a|b went wrong\n",
    };
    rs_claim claims[] = {claim(RS_MEASURE_PSNR, 1, 0, false, 0),
                         claim(RS_MEASURE_PSNR, 0, 1, true, 4.1)};
    rs_comparison c = compared(claims, 2);
    const char *text = rs_comparison_md(t_arena(), &c);
    for (size_t i = 0; i < sizeof md / sizeof md[0]; i++)
        T_CHECKF(strstr(text, md[i]), "%snot in\n%s", md[i], text);
    text = rs_comparison_csv(t_arena(), &c);
    T_CHECKF(strstr(text, "\nmotion,psnr,dB,higher,4,1,3,25,1.15470054\n"), "%s", text);
    T_CHECKF(strstr(text, "\nabsent,motion_error,px,lower,0,0,0,,\n"), "%s", text);
}

static void t_json_has_every_pair(void)
{
    rs_claim claims[] = {claim(RS_MEASURE_MOTION_ERROR, 1, 0, false, 0)};
    rs_comparison c = compared(claims, 1);
    const char *text = rs_comparison_json(t_arena(), &c), *word;
    rs_json *doc;
    const rs_json *list, *summary, *stat;
    double v;
    T_OK(rs_json_parse(&doc, text, strlen(text), "comparison.json"));
    T_OK(rs_json_array(&list, doc, "arms"));
    const rs_json *arm = rs_json_at(list, 1);
    T_OK(rs_json_object(&summary, arm, "summary"));
    T_OK(rs_json_object(&stat, summary, "psnr"));
    T_OK(rs_json_f64(&v, stat, "mean"));
    T_NEAR(v, 25, TOL * 100);
    T_OK(rs_json_array(&list, arm, "pairs"));
    T_EQ_I(rs_json_size(list), 4);
    T_OK(rs_json_string(&word, rs_json_at(list, 0), "reason"));
    T_EQ_S(word, "a|b went wrong");
    T_CHECK(!rs_json_has(rs_json_at(list, 0), "psnr"));
    T_OK(rs_json_f64(&v, rs_json_at(list, 3), "psnr"));
    T_CHECK(v == 27);
    T_OK(rs_json_array(&list, doc, "claims"));
    T_OK(rs_json_string(&word, rs_json_at(list, 0), "verdict"));
    T_EQ_S(word, "reproduced");
    T_OK(rs_json_string(&word, rs_json_at(list, 0), "better"));
    T_EQ_S(word, "motion");
    rs_json_destroy(&doc);
}

static void t_infinite_values_are_said(void)
{
    static const double psnr[] = {INFINITY, INFINITY, INFINITY, INFINITY}, error[] = {1, 1, 1, 1};
    rs_claim one = claim(RS_MEASURE_PSNR, 1, 0, false, 0);
    rs_outcomes l[2] = {outcomes(error, error, 0), outcomes(psnr, error, 0)};
    rs_arms arms = {.items = s_arms, .n = 2, .claims = &one, .n_claims = 1};
    rs_comparison c = rs_compare(t_arena(), "x", &arms, l);
    const char *text = rs_comparison_md(t_arena(), &c);
    T_CHECKF(strstr(text, "| motion | 4 | 0 | ∞ |"), "%s", text);
    T_EQ_I(c.claims[0].verdict, RS_VERDICT_UNTESTED);
    T_EQ_I(c.claims[0].difference.n, 0);
}

static const rs_test_case cases[] = {
    T_CASE(t_means_and_standard_errors),
    T_CASE(t_paired_differences),
    T_CASE(t_failed_pairs_do_not_count),
    T_CASE(t_verdicts),
    T_CASE(t_texts),
    T_CASE(t_json_has_every_pair),
    T_CASE(t_infinite_values_are_said),
};
RS_TEST_MAIN(cases)
