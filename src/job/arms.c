/* The arms of an experiment: the same jobs under each arm's settings, then the comparison. */
#include <fnmatch.h>

#include "base/fsio.h"
#include "base/log.h"
#include "comm/agree.h"
#include "job/comparison.h"
#include "job/job.h"

static bool is_chosen(const rs_run_opts *o, const rs_arm *arm)
{
    return !o->arms || fnmatch(o->arms, arm->name, 0) == 0;
}

static rs_status count_chosen(const rs_run_session *s, const rs_run_opts *o)
{
    for (int64_t i = 0; i < s->arms->n; i++)
        if (is_chosen(o, &s->arms->items[i]))
            return RS_OK;
    return RS_FAIL(USAGE, "--arms: \"%s\" matches none of the %lld arms", o->arms,
                   (long long)s->arms->n);
}

typedef struct tally {
    int64_t jobs, failed, arms; /* arms: with failures */
} tally;

static void add_up(tally *t, const rs_outcomes *l)
{
    int64_t failed = 0;
    for (int64_t k = 0; k < l->n; k++)
        failed += l->items[k].status != RS_OK;
    t->jobs += l->n;
    t->failed += failed;
    t->arms += failed > 0;
}

/* Jobs that fail are counted; anything else ends the run. */
static rs_status run_each(rs_run_session *s, const rs_run_opts *o, rs_outcomes *outcomes, tally *t)
{
    for (int64_t i = 0; i < s->arms->n; i++) {
        const rs_arm *arm = &s->arms->items[i];
        if (!is_chosen(o, arm))
            continue;
        RS_LOG(INFO, "arm %s (%lld of %lld)%s%s", arm->name, (long long)i + 1,
               (long long)s->arms->n, *arm->set ? ": " : "", arm->set);
        RS_TRY(rs_session_use(s, arm->cfg, arm->name));
        rs_status st = rs_run_jobs(s, o, &outcomes[i]);
        if (st != RS_OK && st != RS_JOBS)
            return st;
        add_up(t, &outcomes[i]);
    }
    return RS_OK;
}

/* What the jobs of all ranks have needed. */
static rs_status share_used(rs_run_session *s)
{
    rs_used_states *u = &s->used;
    RS_TRY(rs_world_gather(&u->paths, &u->n, s->arena, u->paths, u->n, &s->world));
    u->cap = (size_t)u->n;
    return RS_OK;
}

/* A state that no job of any arm refers to. Failed jobs may not have had their keys: then all
 * stays. */
static rs_status sweep(rs_run_session *s)
{
    int64_t removed = 0;
    for (int64_t i = 0; i < s->catalog->n_videos; i++) {
        const char *folder = rs_path_join(s->arena, s->run.shared_states, s->catalog->videos[i].id);
        if (rs_path_is_dir(folder))
            RS_TRY(rs_used_states_sweep(&s->used, folder, &removed));
    }
    if (removed)
        RS_LOG(INFO, "%lld states that no arm needs any more were removed", (long long)removed);
    return RS_OK;
}

static rs_status compare(rs_run_session *s, const rs_outcomes *outcomes, bool whole)
{
    rs_comparison c = rs_compare(s->arena, s->cfg->name, s->arms, outcomes);
    rs_comparison_log(s->arena, &c);
    if (!whole) {
        RS_LOG(INFO, "comparison files and strips are written by runs of all arms and videos");
        return RS_OK;
    }
    const char *sheets = rs_path_join(s->arena, s->cfg->output, "comparison");
    RS_TRY(rs_comparison_write(s->cfg->output, &c));
    RS_TRY(rs_comparison_sheets(sheets, &s->run, &c));
    RS_LOG(INFO, "comparison: %s.md, .csv, .json; strips of all arms, a picture per edit: %s/",
           sheets, sheets);
    return RS_OK;
}

/* Rank 0 has the outcomes. */
static rs_status conclude(rs_run_session *s, const rs_run_opts *o, const rs_outcomes *outcomes,
                          const tally *t)
{
    bool whole = !o->arms && !o->videos && !o->only;
    if (!rs_world_leads(&s->world))
        return RS_OK;
    RS_TRY(rs_tenancy_enter(s->tenancy));
    rs_status st = whole && !t->failed ? sweep(s) : RS_OK;
    if (st == RS_OK && !o->only)
        st = compare(s, outcomes, whole);
    rs_tenancy_leave(s->tenancy);
    RS_TRY(st);
    if (t->failed)
        return RS_FAIL(JOBS, "%lld of %lld edits failed, in %lld arms", (long long)t->failed,
                       (long long)t->jobs, (long long)t->arms);
    return RS_OK;
}

rs_status rs_run_arms(rs_run_session *s, const rs_run_opts *o)
{
    tally t = {0};
    rs_outcomes *outcomes = RS_NEW(s->arena, rs_outcomes, s->arms->n);
    RS_TRY(count_chosen(s, o));
    s->run.shared_states = rs_path_join(s->arena, s->cfg->output, "state");
    RS_TRY(run_each(s, o, outcomes, &t));
    RS_TRY(share_used(s));
    rs_status st = conclude(s, o, outcomes, &t);
    RS_TRY(rs_world_await_lead(&s->world));
    return rs_comm_agree(s->world.comm, st);
}
