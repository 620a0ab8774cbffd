/* The memory of this machine: what there is, or what the control groups of this process allow. */
#include <stdio.h>
#include <string.h>

#include "base/fsio.h"
#include "base/num.h"
#include "base/str.h"
#include "job/plan_sizes.h"

/* First line of a file, without its end; false where there is none. */
static bool first_line(char *out, int size, rs_arena *a, const char *root, const char *path)
{
    FILE *f = fopen(rs_arena_printf(a, "%s%s", root, path), "re");
    bool ok = f && fgets(out, size, f);
    if (f)
        fclose(f);
    if (ok)
        out[strcspn(out, "\n")] = 0;
    return ok;
}

static void lower(int64_t *bytes, rs_arena *a, const char *root, const char *path)
{
    char text[64];
    int64_t v;
    if (first_line(text, sizeof text, a, root, path) && rs_parse_i64(&v, text) && v > 0)
        *bytes = *bytes > 0 ? rs_min_i64(*bytes, v) : v; /* "max" is no number: no limit */
}

/* The group and those that it is in, up to the root. */
static void lower_by_group(int64_t *bytes, rs_arena *a, const char *root, const char *mount,
                           const char *group, const char *file)
{
    char *at = rs_arena_strdup(a, group);
    for (;;) {
        lower(bytes, a, root, rs_arena_printf(a, "%s%s/%s", mount, at, file));
        char *slash = strrchr(at, '/');
        if (!slash || *at == 0)
            return;
        *slash = 0;
    }
}

static int64_t installed(const char *root, rs_arena *a)
{
    char line[128];
    long long kib;
    if (first_line(line, sizeof line, a, root, "/proc/meminfo") &&
        sscanf(line, "MemTotal: %lld kB", &kib) == 1 && kib > 0)
        return kib * 1024;
    return 0;
}

int64_t rs_plan_machine_bytes(const char *root)
{
    rs_arena *a = rs_arena_create();
    int64_t bytes = installed(root, a);
    FILE *f = fopen(rs_arena_printf(a, "%s/proc/self/cgroup", root), "re");
    char line[4096];
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        char *names = strchr(line, ':'), *group = names ? strchr(names + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = 0;
        if (names[1] == 0) /* version 2: one line, no names of controllers */
            lower_by_group(&bytes, a, root, "/sys/fs/cgroup", group, "memory.max");
        else if (strcmp(names + 1, "memory") == 0)
            lower_by_group(&bytes, a, root, "/sys/fs/cgroup/memory", group,
                           "memory.limit_in_bytes");
    }
    if (f)
        fclose(f);
    rs_arena_destroy(&a);
    return bytes;
}
