// One stage of several jobs together: each ends once, by itself, whether it is there already,
// cannot be prepared, is done or is stopped.
#include <stdio.h>
#include <string.h>

#include "base/fsio.h"
#include "harness/stages.h"
#include "harness/states.h"
#include "harness/test.h"

enum { JOBS = 3 };

typedef struct seen {
    rs_status status[JOBS];
    char reason[JOBS][256];
    int ends[JOBS];
    int stop_after; /* the end of this one raises the signal; -1 */
} seen;

static void ended(void *ctx, int k, rs_status st)
{
    seen *s = ctx;
    s->ends[k]++;
    s->status[k] = st;
    snprintf(s->reason[k], sizeof s->reason[k], "%s", st == RS_OK ? "" : rs_error_message());
    if (k == s->stop_after)
        *t_stages_stop() = 1;
}

/* square's edit without references, for which there is nothing to do; its other one with a
 * reference behind the end of the clip, and as it is. */
static void make_jobs(rs_job **jobs, rs_run *run)
{
    bool ran;
    rs_job *video = t_stages_job(run, 0, -1), *late = t_stages_job(run, 0, 1);
    rs_catalog_edit *edit = rs_arena_memdup(t_arena(), late->edit, sizeof *edit);
    rs_catalog_reference *r = rs_arena_memdup(
        t_arena(), edit->references, (size_t)edit->n_references * sizeof *edit->references);
    T_OK(rs_stage_run(run, video, RS_STAGE_INGEST, &ran));
    T_OK(rs_stage_run(run, video, RS_STAGE_MOTION, &ran));
    r[0].frame = 99;
    edit->references = r;
    edit->id = "late";
    late->edit = edit;
    jobs[0] = t_stages_job(run, 0, 0);
    jobs[1] = late;
    jobs[2] = t_stages_job(run, 0, 1);
    for (int k = 0; k < JOBS; k++)
        jobs[k]->parent = video;
}

static seen run_together(const char *dir, const char *output, int stop_after, char **state)
{
    rs_run_session s;
    rs_job *jobs[JOBS];
    bool ran[JOBS];
    seen got = {.stop_after = stop_after};
    t_stages_open(&s, dir, output, NULL);
    make_jobs(jobs, &s.run);
    rs_stage_run_many(&s.run, jobs, JOBS, RS_STAGE_APPEARANCE, ran, ended, &got);
    for (int k = 0; k < JOBS; k++) {
        T_EQ_I(got.ends[k], 1);
        T_EQ_I(ran[k], k == 2 && stop_after < 0);
    }
    T_EQ_I(got.status[0], RS_OK);
    T_EQ_I(got.status[1], RS_INPUT);
    T_CHECKF(strstr(got.reason[1], "reference frame 99 is outside"), "%s", got.reason[1]);
    *state = rs_arena_strdup(t_arena(), rs_stage_path(&s.run, jobs[2], RS_STAGE_APPEARANCE));
    rs_session_close(&s);
    return got;
}

static void t_each_ends_by_itself(void)
{
    const char *dir = t_stages_world();
    char *text, *state;
    seen got = run_together(dir, "many", -1, &state);
    T_CHECKF(got.status[2] == RS_OK, "%s", got.reason[2]);
    T_CHECKF(t_stages_run(&text, dir, "one", "--only appearance") == 0, "%s", text);
    const char *name = strstr(state, "/state/");
    T_CHECK(name);
    t_same_state(rs_arena_printf(t_arena(), "%s/one%s", dir, name), state);
}

/* The signal comes while the second one is prepared: the third is not begun. */
static void t_a_stop_ends_the_preparation(void)
{
    char *state;
    seen got = run_together(t_stages_world(), "many", 1, &state);
    T_EQ_I(got.status[2], RS_STOPPED);
    T_CHECKF(strstr(got.reason[2], "stopped before stage appearance"), "%s", got.reason[2]);
    T_CHECK(!rs_path_exists(state));
}

static const rs_test_case cases[] = {
    T_CASE(t_each_ends_by_itself),
    T_CASE(t_a_stop_ends_the_preparation),
};
RS_TEST_MAIN(cases)
