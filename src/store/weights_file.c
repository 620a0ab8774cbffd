#include "store/weights_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fsio.h"
#include "store/safetensors.h"
#include "store/torchzip.h"

struct rs_weights_file { /* exactly one is not NULL */
    rs_safetensors *st;
    rs_torchzip *tz;
};

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);
    return n >= m && strcmp(s + n - m, tail) == 0;
}

static bool is_torch_name(const char *name)
{
    return ends_with(name, ".pth") || ends_with(name, ".pt");
}

/* The file's first bytes decide; its name only where they say nothing (a broken torch file is
 * reported as one). */
static rs_status is_torch_file(bool *out, const char *path)
{
    unsigned char head[4] = {0};
    FILE *f = fopen(path, "rb");
    if (!f)
        return RS_FAIL(IO, "%s: cannot open: %s", path, strerror(errno));
    size_t n = fread(head, 1, sizeof head, f);
    fclose(f);
    bool zip = n == sizeof head && memcmp(head, "PK\003\004", sizeof head) == 0;
    *out = zip || is_torch_name(path);
    return RS_OK;
}

/* A folder stands for a torch file when that is the only one and there are no safetensors. */
static rs_status pick_torch_file(const char **out, rs_arena *a, const char *folder)
{
    char **names;
    int64_t n, found = 0;
    RS_TRY(rs_list_dir(&names, &n, a, folder));
    for (int64_t i = 0; i < n; i++) {
        if (ends_with(names[i], ".safetensors") || ends_with(names[i], ".safetensors.index.json")) {
            *out = folder;
            return RS_OK;
        }
        if (is_torch_name(names[i])) {
            found++;
            *out = rs_path_join(a, folder, names[i]);
        }
    }
    if (found == 0)
        return RS_FAIL(IO, "%s: no *.safetensors, *.pth or *.pt file in this folder", folder);
    if (found > 1)
        return RS_FAIL(FORMAT, "%s: several *.pth or *.pt files: name one", folder);
    return RS_OK;
}

rs_status rs_weights_file_open(rs_weights_file **out, const char *path)
{
    rs_status st = RS_OK;
    rs_arena *a = rs_arena_create();
    rs_weights_file *w = rs_alloc(1, sizeof *w);
    const char *file = path;
    bool torch = false;
    if (rs_path_is_dir(path))
        RS_TRY_OUT(pick_torch_file(&file, a, path));
    if (!rs_path_is_dir(file))
        RS_TRY_OUT(is_torch_file(&torch, file));
    if (torch)
        RS_TRY_OUT(rs_torchzip_open(&w->tz, file));
    else
        RS_TRY_OUT(rs_safetensors_open(&w->st, file));
    *out = w;
    w = NULL;
out:
    rs_weights_file_close(&w);
    rs_arena_destroy(&a);
    return st;
}

void rs_weights_file_close(rs_weights_file **w)
{
    if (!w || !*w)
        return;
    rs_safetensors_close(&(*w)->st);
    rs_torchzip_close(&(*w)->tz);
    rs_dealloc(*w);
    *w = NULL;
}

const rs_tensor *rs_weights_file_find(const rs_weights_file *w, const char *name)
{
    return w->st ? rs_safetensors_find(w->st, name) : rs_torchzip_find(w->tz, name);
}

int64_t rs_weights_file_count(const rs_weights_file *w)
{
    return w->st ? rs_safetensors_count(w->st) : rs_torchzip_count(w->tz);
}

const char *rs_weights_file_name(const rs_weights_file *w, int64_t i)
{
    return w->st ? rs_safetensors_name(w->st, i) : rs_torchzip_name(w->tz, i);
}

const rs_tensor *rs_weights_file_at(const rs_weights_file *w, int64_t i)
{
    return w->st ? rs_safetensors_at(w->st, i) : rs_torchzip_at(w->tz, i);
}

rs_status rs_weights_file_get(rs_tensor *out, const rs_weights_file *w, const char *name, int ndim,
                              const int64_t *shape)
{
    const rs_tensor *t = rs_weights_file_find(w, name);
    if (!t)
        return RS_FAIL(MODEL, "%s: missing tensor '%s'", rs_weights_file_path(w), name);
    rs_tensor want = rs_tensor_of(NULL, t->dtype, ndim, shape);
    if (!rs_tensor_same_shape(*t, want)) {
        char got_text[RS_TENSOR_TEXT], want_text[RS_TENSOR_TEXT];
        return RS_FAIL(MODEL, "%s: tensor '%s' is %s, expected %s", rs_weights_file_path(w), name,
                       rs_tensor_text(got_text, *t), rs_tensor_text(want_text, want));
    }
    *out = *t;
    return RS_OK;
}

const char *rs_weights_file_path(const rs_weights_file *w)
{
    return w->st ? rs_safetensors_path(w->st) : rs_torchzip_path(w->tz);
}

int64_t rs_weights_file_file_count(const rs_weights_file *w)
{
    return w->st ? rs_safetensors_file_count(w->st) : 1;
}

const char *rs_weights_file_file(const rs_weights_file *w, int64_t i)
{
    return w->st ? rs_safetensors_file(w->st, i) : rs_torchzip_path(w->tz);
}
