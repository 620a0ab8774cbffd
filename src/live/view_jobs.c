/* jobs.csv and the timelines: what there is to do, and what became of it. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fsio.h"
#include "live/view_priv.h"

static int compare_names(const rs_view_job *a, const char *arm, const char *video, const char *edit)
{
    int c = strcmp(a->arm, arm);
    c = c ? c : strcmp(a->video, video);
    return c ? c : strcmp(a->edit, edit);
}

/* Names lie in front of the index, so that sorting needs no state of its own. */
typedef struct entry {
    const rs_view_job *job;
    int64_t index;
} entry;

static int compare_entries(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    int c = compare_names(x->job, y->job->arm, y->job->video, y->job->edit);
    return c ? c : (x->index > y->index) - (x->index < y->index);
}

/* Two worlds know the same jobs: the first of equals stays. */
static int64_t drop_doubles(rs_viewer_state *s, const entry *e, int64_t n)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++) {
        const rs_view_job *j = e[i].job;
        if (i && compare_names(e[i - 1].job, j->arm, j->video, j->edit) == 0)
            s->v.jobs[e[i].index].tasks = 0;
        else
            s->sorted[kept++] = e[i].index;
    }
    return kept;
}

rs_view_job *rs_view_job_named(const rs_viewer_state *s, const char *arm, const char *video,
                               const char *edit)
{
    int64_t lo = 0, hi = s->sorted ? s->v.n_jobs : 0;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        rs_view_job *j = &s->v.jobs[s->sorted[mid]];
        int c = compare_names(j, arm, video, edit);
        if (c == 0)
            return j;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

/* Doubles leave the list, those left keep their order. */
static void compact(rs_viewer_state *s)
{
    int64_t n = 0;
    rs_view *v = &s->v;
    for (int64_t i = 0; i < v->n_jobs; i++)
        if (v->jobs[i].tasks)
            v->jobs[n++] = v->jobs[i];
    v->n_jobs = n;
}

static void sort(rs_viewer_state *s)
{
    rs_view *v = &s->v;
    entry *e = RS_NEW(s->fresh, entry, v->n_jobs + 1);
    s->sorted = RS_NEW(s->kept, int64_t, v->n_jobs + 1);
    for (int64_t i = 0; i < v->n_jobs; i++)
        e[i] = (entry){&v->jobs[i], i};
    qsort(e, (size_t)v->n_jobs, sizeof *e, compare_entries);
    if (drop_doubles(s, e, v->n_jobs) < v->n_jobs) {
        compact(s);
        sort(s);
    }
}

void rs_view_sort_jobs(rs_viewer_state *s)
{
    sort(s);
    for (int64_t i = 0; i < s->v.n_jobs; i++) {
        rs_view_job *j = &s->v.jobs[i];
        const rs_view_job *video = *j->edit ? rs_view_job_named(s, j->arm, j->video, "") : NULL;
        j->parent = video ? video - s->v.jobs : -1;
    }
}

static void add_job(rs_viewer_state *s, char *line)
{
    char *f[4];
    int64_t tasks;
    rs_view *v = &s->v;
    if (rs_csv_split(f, 4, line) != 4 || !rs_parse_i64(&tasks, f[3]) || tasks <= 0 ||
        tasks >= 1 << RS_LIVE_STAGES)
        return; /* the heading, or a line that is still being written */
    v->jobs = rs_arena_grow(s->kept, v->jobs, &s->cap_jobs, (size_t)v->n_jobs + 1, sizeof *v->jobs);
    rs_view_job *j = &v->jobs[v->n_jobs++];
    *j = (rs_view_job){.arm = rs_arena_strdup(s->kept, f[0]),
                       .video = rs_arena_strdup(s->kept, f[1]),
                       .edit = rs_arena_strdup(s->kept, f[2]),
                       .tasks = (uint32_t)tasks,
                       .reason = "",
                       .at = -1};
    for (int k = 0; k < RS_LIVE_STAGES; k++)
        j->seconds[k] = NAN;
}

rs_status rs_view_read_jobs(rs_viewer_state *s, const char *folder)
{
    char *text;
    size_t bytes;
    const char *path = rs_path_join(s->fresh, folder, "jobs.csv");
    if (!rs_path_exists(path))
        return RS_OK; /* the run is still looking at its settings */
    RS_TRY(rs_read_file(&text, &bytes, s->fresh, path));
    for (char *end; (end = strchr(text, '\n')); text = end + 1) {
        *end = 0;
        add_job(s, text);
    }
    return RS_OK;
}

/* ---- timelines ---- */

static void end_task(rs_view_job *j, const rs_timeline_line *l)
{
    static const rs_view_state states[RS_LIVE_HOWS] = {RS_VIEW_DONE, RS_VIEW_CACHED, RS_VIEW_FAILED,
                                                       RS_VIEW_WAITING};
    rs_view_state *now = &j->known[l->stage];
    if (l->end > j->known_since[l->stage])
        j->known_since[l->stage] = l->end;
    bool good = *now == RS_VIEW_DONE || *now == RS_VIEW_CACHED;
    if (good && l->how != RS_LIVE_DONE)
        return; /* of two worlds, or of two ranks of a lane, the one that was the first */
    *now = states[l->how];
    if (l->how == RS_LIVE_DONE)
        j->seconds[l->stage] = l->end - l->begin;
}

static void end_edit(rs_viewer_state *s, rs_view_job *j, const rs_timeline_line *l)
{
    if (l->how == RS_LIVE_STOPPED || (j->ended && !j->failed && l->how == RS_LIVE_FAILED))
        return;
    j->ended = true;
    j->failed = l->how == RS_LIVE_FAILED;
    j->computed = j->computed || l->how == RS_LIVE_DONE;
    j->at = j->failed ? l->stage : -1;
    j->reason = rs_arena_strdup(s->kept, j->failed ? l->reason : "");
}

static void apply(rs_viewer_state *s, char *text)
{
    rs_timeline_line l;
    if (!rs_timeline_parse(&l, text))
        return;
    rs_view_job *j = rs_view_job_named(s, l.arm, l.video, l.edit);
    if (!j)
        return;
    if (l.kind == RS_TIMELINE_TASK && l.stage >= 0)
        end_task(j, &l);
    else if (l.kind == RS_TIMELINE_EDIT)
        end_edit(s, j, &l);
}

static rs_view_file *file_named(rs_viewer_state *s, const char *path)
{
    for (int64_t i = 0; i < s->n_timelines; i++)
        if (strcmp(s->timelines[i].path, path) == 0)
            return &s->timelines[i];
    s->timelines = rs_arena_grow(s->kept, s->timelines, &s->cap_timelines,
                                 (size_t)s->n_timelines + 1, sizeof *s->timelines);
    s->timelines[s->n_timelines] = (rs_view_file){.path = rs_arena_strdup(s->kept, path)};
    return &s->timelines[s->n_timelines++];
}

/* Whole lines behind what has been read. */
static rs_status read_on(rs_viewer_state *s, rs_view_file *file)
{
    int64_t size = rs_file_size(file->path);
    FILE *f = size > file->read ? fopen(file->path, "rb") : NULL;
    if (size <= file->read)
        return RS_OK;
    if (!f)
        return RS_FAIL(IO, "%s: cannot open: %s", file->path, strerror(errno));
    char *text = RS_NEW(s->fresh, char, size - file->read + 1);
    size_t n = fseek(f, (long)file->read, SEEK_SET) == 0
                   ? fread(text, 1, (size_t)(size - file->read), f)
                   : 0;
    fclose(f);
    text[n] = 0;
    for (char *end; (end = strchr(text, '\n')); text = end + 1) {
        *end = 0;
        file->read += end + 1 - text;
        apply(s, text);
    }
    return RS_OK;
}

rs_status rs_view_read_timelines(rs_viewer_state *s, const char *folder)
{
    char **names;
    int64_t n;
    RS_TRY(rs_list_dir(&names, &n, s->fresh, folder));
    for (int64_t i = 0; i < n; i++)
        if (strncmp(names[i], "timeline-", 9) == 0)
            RS_TRY(read_on(s, file_named(s, rs_path_join(s->fresh, folder, names[i]))));
    return RS_OK;
}
