#include "harness/catalog.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsio.h"
#include "harness/mpirun.h"
#include "harness/states.h"
#include "harness/test.h"
#include "store/archive.h"

static char *in(const char *dir, const char *name)
{
    return rs_path_join(t_arena(), dir, name);
}

static const char k_experiment[] = "name: ranks\noutput: run\ncatalog: catalog/catalog.yaml\n"
                                   "model: {path: model}\n"
                                   "clip: {frames: 9, width: 64, height: 48}\n"
                                   "mask: {min_area: 4}\n"
                                   "lora: {rank: 4, alpha: 4}\n"
                                   "motion: {steps: 6, lr: 1.0e-3}\n"
                                   "appearance: {schedule: paper, steps: 4, repeats: 1}\n"
                                   "edit: {steps: 3}\n"
                                   "cluster: {threads: 1}\n"
                                   "video: {preset: ultrafast}\n";

const char *t_catalog_world(int videos)
{
    return t_catalog_world_with(videos, "checkpoint: {every: 2}\n");
}

const char *t_catalog_world_with(int videos, const char *settings)
{
    const char *yaml = rs_arena_printf(t_arena(), "%s%s", k_experiment, settings);
    const char *dir = t_tmpdir();
    char *out;
    int rc =
        t_shell(&out,
                T_BIN "/reshoot-world smallworld %s/catalog --count %d --frames 9 --width 64 "
                      "--height 48 && " T_BIN "/reshoot-world model --preset tiny %s/model " T_SRC
                      "/datasets/smallmodel/tokenizer",
                dir, videos, dir);
    T_CHECKF(rc == 0, "%s", out);
    T_OK(rs_write_file_atomic(in(dir, "exp.yaml"), yaml, strlen(yaml)));
    return dir;
}

const char *t_catalog_args(const char *dir, const char *output, const char *more)
{
    return rs_arena_printf(t_arena(), "run %s/exp.yaml --set output=%s/%s %s", dir, dir, output,
                           more);
}

int t_catalog_run(char **out, int ranks, const char *dir, const char *output, const char *more)
{
    const char *line = t_catalog_args(dir, output, more);
    return ranks ? t_mpirun_reshoot(out, ranks, "%s", line) : t_reshoot(out, "%s", line);
}

char *t_catalog_command(const char *dir, const char *more)
{
    return rs_arena_printf(t_arena(), T_BIN "/reshoot %s", t_catalog_args(dir, "run", more));
}

pid_t t_catalog_start(const char *dir, const char *more)
{
    char *line = rs_arena_printf(t_arena(), "exec %s </dev/null >%s/said 2>&1",
                                 t_catalog_command(dir, more), dir);
    pid_t pid = fork();
    T_CHECK(pid >= 0);
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    return pid;
}

/* Tensors of a group and of all below it; how many. */
static int same_group(const rs_archive *a, const rs_archive *b, const char *group)
{
    char **names;
    int64_t n;
    int tensors = 0;
    T_OK(rs_archive_list(&names, &n, t_arena(), a, group));
    for (int64_t i = 0; i < n; i++) {
        rs_tensor x, y;
        const char *object =
            rs_arena_printf(t_arena(), "%s/%s", strcmp(group, "/") == 0 ? "" : group, names[i]);
        rs_archive_kind kind = rs_archive_kind_of(a, object);
        T_CHECKF(rs_archive_kind_of(b, object) == kind, "%s: %s", rs_archive_path(b), object);
        if (kind == RS_ARCHIVE_GROUP)
            tensors += same_group(a, b, object);
        if (kind != RS_ARCHIVE_TENSOR)
            continue;
        tensors++;
        T_OK(rs_archive_read_tensor(&x, t_arena(), a, object));
        T_OK(rs_archive_read_tensor(&y, t_arena(), b, object));
        T_CHECKF(x.dtype == y.dtype && rs_tensor_same_shape(x, y) &&
                     memcmp(x.data, y.data, rs_tensor_bytes(x)) == 0,
                 "%s differs in %s", rs_archive_path(b), object);
    }
    return tensors;
}

static void same_archive(const char *a, const char *b)
{
    rs_archive *x, *y;
    T_OK(rs_archive_open(&x, a));
    T_OK(rs_archive_open(&y, b));
    T_CHECK(same_group(x, y, "/") > 10);
    rs_archive_close(&x);
    rs_archive_close(&y);
}

/* Names of files in both; how many there are. */
static int each(const char *dir, const char *a, const char *b, const char *what,
                void (*same)(const char *, const char *))
{
    char *list, *other;
    int n = 0;
    T_EQ_I(t_shell(&list, "cd %s/%s && find %s | sort", dir, a, what), 0);
    T_EQ_I(t_shell(&other, "cd %s/%s && find %s | sort", dir, b, what), 0);
    T_EQ_S(other, list);
    for (char *name = strtok(list, "\n"); name; name = strtok(NULL, "\n"), n++)
        same(in(in(dir, a), name), in(in(dir, b), name));
    return n;
}

void t_catalog_same(const char *dir, const char *a, const char *b, int states)
{
    T_EQ_I(each(dir, a, b, "state -name '*.safetensors'", t_same_state), states);
    if (rs_path_is_dir(in(in(dir, a), "archive")))
        T_CHECK(each(dir, a, b, "archive -name '*.h5'", same_archive) > 0);
}

void t_catalog_clean(const char *dir, const char *output)
{
    char *out;
    t_shell(&out, "find %s/%s -name '*.tmp.*' -o -name '*checkpoint*' -o -path '*/alive/*'", dir,
            output);
    T_CHECKF(!*out, "left behind: %s", out);
}

int t_catalog_logged(const char *dir, const char *output, const char *text)
{
    char *out;
    t_shell(&out, "cat %s/%s/reshoot*.log | grep -c -- '%s'", dir, output, text);
    return atoi(out);
}

void t_await_text(const char *file, const char *text, const char *other)
{
    for (int i = 0; i < 1200; i++) {
        char *said;
        size_t bytes;
        if (rs_path_exists(file)) {
            T_OK(rs_read_file(&said, &bytes, t_arena(), file));
            if (strstr(said, text) || (other && strstr(said, other)))
                return;
        }
        usleep(50000);
    }
    T_CHECKF(false, "%s: never says \"%s\"", file, text);
}
