#include "bench/io_file.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fsio.h"
#include "base/num.h"
#include "bench/pattern.h"
#include "store/archive.h"
#include "store/state.h"

enum { SMALL_BYTES = 4096, WIDTH = 832, HEIGHT = 480, SMALL_WIDTH = 64, SMALL_HEIGHT = 48 };
#define OBJECT "/edits/benchmark/frames"
#define TENSOR "benchmark"

static const char *const k_names[] = {
#define RS_IO_KIND_NAME(name, text) text,
    RS_IO_KINDS(RS_IO_KIND_NAME)
#undef RS_IO_KIND_NAME
};

const char *rs_io_kind_name(rs_io_kind kind)
{
    return k_names[kind];
}

bool rs_io_kind_find(rs_io_kind *kind, const char *name)
{
    for (int i = 0; i < RS_IO_KIND_COUNT; i++)
        if (strcmp(k_names[i], name) == 0) {
            *kind = (rs_io_kind)i;
            return true;
        }
    return false;
}

static bool is_archive(const rs_io_files *f)
{
    return f->kind == RS_IO_FRAMES || f->kind == RS_IO_TENSORS;
}

/* Slopes that move with time and two bits of noise: deflate finds about what it finds in footage
 * (half of it). */
static void paint(uint8_t *at, rs_pattern p, int64_t frames, int64_t height, int64_t width)
{
    int64_t i = 0;
    for (int64_t t = 0; t < frames; t++)
        for (int64_t y = 0; y < height; y++)
            for (int64_t x = 0; x < width * 3; x++, i++)
                at[i] = (uint8_t)((x / 12 + y / 3 + t) + (rs_pattern_word(p, i) & 3));
}

static rs_tensor make_frames(rs_arena *a, rs_pattern p, int64_t bytes)
{
    bool large = bytes >= (int64_t)WIDTH * HEIGHT * 3;
    int64_t w = large ? WIDTH : SMALL_WIDTH, h = large ? HEIGHT : SMALL_HEIGHT;
    int64_t n = rs_max_i64(1, bytes / (w * h * 3));
    uint8_t *data = rs_arena_alloc(a, (size_t)(n * w * h), 3);
    paint(data, p, n, h, w);
    return rs_tensor_of(data, RS_DTYPE_U8, RS_SHAPE(n, h, w, 3));
}

/* Rows of 1024 as an adapter has them; values as random as trained ones. */
static rs_tensor make_floats(rs_arena *a, rs_pattern p, int64_t bytes)
{
    int64_t n = rs_max_i64(1, bytes / (int64_t)sizeof(float));
    int64_t cols = n < 1024 ? n : 1024, rows = n / cols;
    float *data = rs_arena_alloc(a, (size_t)(rows * cols), sizeof *data);
    rs_pattern_floats(data, p, rows * cols);
    return rs_tensor_of(data, RS_DTYPE_F32, RS_SHAPE(rows, cols));
}

void rs_io_files_make(rs_io_files *f, rs_arena *a, rs_io_kind kind, const char *folder, int rank,
                      int64_t bytes, int64_t n)
{
    rs_pattern p = {.from = rank, .to = -1, .call = (uint32_t)kind};
    bool small = kind == RS_IO_SMALL;
    *f = (rs_io_files){.kind = kind, .folder = folder, .n = small ? n : 1, .a = a};
    f->data = kind == RS_IO_FRAMES ? make_frames(a, p, bytes)
                                   : make_floats(a, p, small ? SMALL_BYTES : bytes);
}

const char *rs_io_file_path(const rs_io_files *f, rs_arena *a, int64_t i)
{
    return rs_arena_printf(a, "%s/%s-%lld.%s", f->folder, rs_io_kind_name(f->kind), (long long)i,
                           is_archive(f) ? "h5" : "safetensors");
}

static rs_status write_archive(const rs_io_files *f, const char *path)
{
    rs_archive *a;
    RS_TRY(rs_archive_create(&a, path));
    rs_status st = rs_archive_write_tensor(a, OBJECT, f->data,
                                           f->kind == RS_IO_FRAMES ? RS_ARCHIVE_DEFLATE : 0);
    if (st == RS_OK)
        return rs_archive_commit(&a);
    rs_archive_abandon(&a);
    return st;
}

rs_status rs_io_files_write(const rs_io_files *f)
{
    rs_arena_mark mark = rs_arena_get_mark(f->a);
    rs_named_tensor item = {.name = TENSOR, .t = f->data};
    rs_tensor_list list = {.items = &item, .n = 1, .cap = 1};
    rs_state_id id = {.key = TENSOR, .stage = TENSOR};
    for (int64_t i = 0; i < f->n; i++) {
        const char *path = rs_io_file_path(f, f->a, i);
        RS_TRY(is_archive(f) ? write_archive(f, path) : rs_state_save(path, &id, &list, NULL));
        rs_arena_release(f->a, mark);
    }
    return RS_OK;
}

static rs_status compare(const rs_io_files *f, rs_tensor got, const char *path)
{
    const char *x = got.data, *y = f->data.data;
    if (got.dtype != f->data.dtype || !rs_tensor_same_shape(got, f->data))
        return RS_FAIL(FORMAT, "%s: read back with another type or shape", path);
    if (memcmp(x, y, rs_tensor_bytes(got)) == 0)
        return RS_OK;
    size_t at = 0;
    while (x[at] == y[at])
        at++;
    return RS_FAIL(FORMAT, "%s: element %zu is not what was written", path,
                   at / rs_dtype_size(got.dtype));
}

static rs_status read_archive(const rs_io_files *f, const char *path, bool check)
{
    rs_archive *a;
    rs_tensor got;
    RS_TRY(rs_archive_open(&a, path));
    rs_status st = rs_archive_read_tensor(&got, f->a, a, OBJECT);
    rs_archive_close(&a);
    return st == RS_OK && check ? compare(f, got, path) : st;
}

static rs_status read_state(const rs_io_files *f, const char *path, bool check)
{
    rs_state *s;
    rs_tensor got;
    RS_TRY(rs_state_load(&s, path));
    rs_status st = rs_state_get(&got, s, TENSOR, f->data.ndim, f->data.shape);
    if (st == RS_OK && check)
        st = compare(f, got, path);
    rs_state_close(&s);
    return st;
}

rs_status rs_io_files_read(const rs_io_files *f, bool check)
{
    rs_arena_mark mark = rs_arena_get_mark(f->a);
    for (int64_t i = 0; i < f->n; i++) {
        const char *path = rs_io_file_path(f, f->a, i);
        RS_TRY(is_archive(f) ? read_archive(f, path, check) : read_state(f, path, check));
        rs_arena_release(f->a, mark);
    }
    return RS_OK;
}

void rs_io_files_forget(const rs_io_files *f)
{
    rs_arena_mark mark = rs_arena_get_mark(f->a);
    for (int64_t i = 0; i < f->n; i++) {
        int fd = open(rs_io_file_path(f, f->a, i), O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
            close(fd);
        }
    }
    rs_arena_release(f->a, mark);
}

int64_t rs_io_files_size(const rs_io_files *f)
{
    rs_arena_mark mark = rs_arena_get_mark(f->a);
    int64_t sum = 0;
    for (int64_t i = 0; i < f->n; i++)
        sum += rs_max_i64(0, rs_file_size(rs_io_file_path(f, f->a, i)));
    rs_arena_release(f->a, mark);
    return sum;
}
