#include "job/used_states.h"

#include <stdlib.h>
#include <string.h>

#include "base/fsio.h"

void rs_used_states_add(rs_used_states *u, const rs_run *run, const rs_job *job)
{
    if (!run->shared_states)
        return;
    for (int id = 0; id < RS_STAGE_COUNT; id++) {
        if (rs_stage_get((rs_stage_id)id)->per_edit != (job->edit != NULL))
            continue;
        u->paths = rs_arena_grow(u->arena, u->paths, &u->cap, (size_t)u->n + 1, sizeof *u->paths);
        u->paths[u->n++] = rs_arena_strdup(u->arena, rs_stage_path(run, job, (rs_stage_id)id));
    }
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "<stage>[@<edit>]~<16 digits>..." */
static bool is_shared_state(const char *name)
{
    const char *mark = strchr(name, '~');
    return mark && strspn(mark + 1, "0123456789abcdef") == 16;
}

rs_status rs_used_states_sweep(rs_used_states *u, const char *folder, int64_t *removed)
{
    rs_status st = RS_OK;
    rs_arena *a = rs_arena_create();
    char **names;
    int64_t n;
    if (u->n)
        qsort(u->paths, (size_t)u->n, sizeof *u->paths, compare);
    RS_TRY_OUT(rs_list_dir(&names, &n, a, folder));
    for (int64_t i = 0; i < n; i++) {
        const char *path = rs_path_join(a, folder, names[i]);
        if (!is_shared_state(names[i]) ||
            (u->n && bsearch(&path, u->paths, (size_t)u->n, sizeof *u->paths, compare)))
            continue;
        RS_TRY_OUT(rs_remove_tree(path));
        ++*removed;
    }
out:
    rs_arena_destroy(&a);
    return st;
}
