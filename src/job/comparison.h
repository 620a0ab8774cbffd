/* The arms of an experiment side by side: mean and standard error of every measure and of the
 * seconds over the (video, edit) pairs, and the verdict on every claim.
 *
 * A claim is tested on the differences of the pairs that have the measure, finite, in both arms. It
 * counts as reproduced when the mean difference, in the measure's direction, lies more than two
 * standard errors above the margin (`better`), or above minus the margin (`no_worse`). */
#ifndef RS_JOB_COMPARISON_H
#define RS_JOB_COMPARISON_H

#include "config/arms.h"
#include "job/job.h"
#include "job/stats.h"

/* What is compared: the measures, then these. */
enum { RS_COMPARED_TRAIN_S = RS_MEASURE_COUNT, RS_COMPARED_SAMPLE_S, RS_COMPARED_COUNT };

const rs_measure_info *rs_compared_info(int64_t i);
double rs_compared_value(const rs_outcome *o, int64_t i);

typedef enum rs_verdict {
    RS_VERDICT_UNTESTED, /* an arm did not run, or fewer than two pairs have the measure */
    RS_VERDICT_NO,
    RS_VERDICT_YES
} rs_verdict;

/* "not tested", "not reproduced", "reproduced". */
const char *rs_verdict_text(rs_verdict v);

typedef struct rs_compared_arm {
    const rs_arm *arm;
    const rs_outcomes *outcomes; /* n 0: not run */
    int64_t failed;
    rs_stat stats[RS_COMPARED_COUNT]; /* over the pairs that did not fail */
} rs_compared_arm;

typedef struct rs_tested_claim {
    const rs_claim *claim;
    rs_stat difference; /* value of claim->arm minus that of claim->than */
    rs_verdict verdict;
} rs_tested_claim;

typedef struct rs_comparison {
    const char *name; /* of the experiment */
    rs_compared_arm *arms;
    int64_t n_arms, n_pairs, n_failed;
    bool shown[RS_COMPARED_COUNT]; /* some arm has values */
    rs_tested_claim *claims;
    int64_t n_claims;
} rs_comparison;

/* outcomes[i]: of arm i; every list that is not empty has the same pairs in the same order. All of
 * it is borrowed. */
rs_comparison rs_compare(rs_arena *a, const char *name, const rs_arms *arms,
                         const rs_outcomes *outcomes);

/* Texts of it (arena-owned): a Markdown page, a table with one row per arm and measure, and
 * everything with the values of every pair. */
const char *rs_comparison_md(rs_arena *a, const rs_comparison *c);
const char *rs_comparison_csv(rs_arena *a, const rs_comparison *c);
const char *rs_comparison_json(rs_arena *a, const rs_comparison *c);
/* The table, the verdicts and the failures, to the log. */
void rs_comparison_log(rs_arena *a, const rs_comparison *c);
/* <output>/comparison.md, .csv and .json; a file that holds this already is not touched. */
rs_status rs_comparison_write(const char *output, const rs_comparison *c) RS_NODISCARD;
/* <folder>/<video>@<edit>.png of every pair of the catalog, from the archives: strips of the same
 * frames of the source, of the truth where the catalog has one, and of every arm in order; of an
 * arm that failed, the reason. Source and truth are those of the first arm with a result. Every arm
 * must have all pairs. A picture that is there already is not touched. RS_IO / RS_FORMAT /
 * RS_INPUT: an archive, a truth or the folder. */
rs_status rs_comparison_sheets(const char *folder, const rs_run *run,
                               const rs_comparison *c) RS_NODISCARD;

#endif
