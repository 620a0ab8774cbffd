#include <math.h>
#include <string.h>

#include "base/fsio.h"
#include "base/log.h"
#include "live/view_priv.h"

static const char *const k_states[RS_VIEW_STATES] = {"waiting", "running", "done",
                                                     "cached",  "failed",  "skipped"};

const char *rs_view_state_name(rs_view_state s)
{
    return k_states[s];
}

static rs_viewer_state *state_of(rs_view *v)
{
    return (rs_viewer_state *)v;
}

rs_status rs_view_open(rs_view **out, const char *output)
{
    rs_status st = RS_OK;
    char **ids;
    int64_t n;
    rs_viewer_state *s = rs_alloc(1, sizeof *s);
    s->kept = rs_arena_create();
    s->fresh = rs_arena_create();
    *out = &s->v;
    s->v.output = output;
    s->ids = "";
    RS_TRY_OUT(rs_live_worlds(&ids, &n, s->fresh, output));
    if (n == 0)
        st = RS_FAIL(INPUT, "%s: no run has begun here", output);
out:
    if (st != RS_OK)
        rs_view_close(out);
    return st;
}

void rs_view_close(rs_view **v)
{
    if (!*v)
        return;
    rs_viewer_state *s = state_of(*v);
    rs_arena_destroy(&s->kept);
    rs_arena_destroy(&s->fresh);
    rs_dealloc(s);
    *v = NULL;
}

static const char *folder_of(const rs_viewer_state *s, const char *id)
{
    return rs_arena_printf(s->fresh, "%s/live/%s", s->v.output, id);
}

/* The newest world, then the others that live. */
static rs_status find_worlds(rs_viewer_state *s, const char **ids)
{
    char **all;
    int64_t n;
    rs_view *v = &s->v;
    rs_strbuf text = rs_strbuf_on(s->fresh);
    RS_TRY(rs_live_worlds(&all, &n, s->fresh, v->output));
    if (n == 0)
        return RS_FAIL(INPUT, "%s: no run has begun here", v->output);
    v->worlds = RS_NEW(s->fresh, rs_view_world, n);
    v->n_worlds = 0;
    for (int64_t i = n - 1; i >= 0; i--) {
        bool alive = rs_live_world_is_alive(folder_of(s, all[i]));
        if (i < n - 1 && !alive)
            continue;
        v->worlds[v->n_worlds++] = (rs_view_world){.id = all[i], .alive = alive};
        rs_strbuf_printf(&text, "%s\n", all[i]);
    }
    *ids = text.data;
    return RS_OK;
}

static int64_t bytes_of_jobs(const rs_viewer_state *s)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < s->v.n_worlds; i++) {
        const char *folder = folder_of(s, s->v.worlds[i].id);
        int64_t bytes = rs_file_size(rs_path_join(s->fresh, folder, "jobs.csv"));
        sum += bytes > 0 ? bytes : 0;
    }
    return sum;
}

/* Other worlds, or more jobs: everything is read anew. */
static rs_status restart(rs_viewer_state *s, const char *ids, int64_t jobs_bytes)
{
    rs_arena_reset(s->kept);
    s->ids = rs_arena_strdup(s->kept, ids);
    s->jobs_bytes = jobs_bytes;
    s->v.jobs = NULL;
    s->v.n_jobs = s->n_timelines = 0;
    s->cap_jobs = s->cap_timelines = 0;
    s->timelines = NULL;
    s->sorted = NULL;
    for (int64_t i = 0; i < s->v.n_worlds; i++)
        RS_TRY(rs_view_read_jobs(s, folder_of(s, s->v.worlds[i].id)));
    rs_view_sort_jobs(s);
    return RS_OK;
}

rs_status rs_view_refresh(rs_view *v)
{
    rs_viewer_state *s = state_of(v);
    const char *ids;
    rs_arena_reset(s->fresh);
    v->now = rs_wall_clock();
    v->ranks = NULL;
    v->n_ranks = 0;
    RS_TRY(find_worlds(s, &ids));
    int64_t bytes = bytes_of_jobs(s);
    if (strcmp(ids, s->ids) != 0 || bytes != s->jobs_bytes)
        RS_TRY(restart(s, ids, bytes));
    for (int64_t i = 0; i < v->n_worlds; i++) {
        const char *folder = folder_of(s, v->worlds[i].id);
        rs_view_read_world(s, &v->worlds[i], folder);
        RS_TRY(rs_view_read_timelines(s, folder));
        RS_TRY(rs_view_read_ranks(s, i, folder));
    }
    rs_view_count(s);
    return RS_OK;
}

bool rs_view_is_alive(const rs_view *v)
{
    for (int64_t i = 0; i < v->n_worlds; i++)
        if (v->worlds[i].alive)
            return true;
    return false;
}

const rs_view_job *rs_view_find(const rs_view *v, const char *arm, const char *video,
                                const char *edit)
{
    return rs_view_job_named((const rs_viewer_state *)v, arm, video, edit);
}
