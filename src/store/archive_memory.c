/* A new archive's file in memory: HDF5's core driver, whose buffer we keep when the file is closed
 * (HDF5 Reference Manual, H5Pset_file_image_callbacks). */
#include <string.h>

#include "store/archive_priv.h"

static void *image_malloc(size_t size, H5FD_file_image_op_t op, void *image)
{
    (void)op;
    ((rs_h5_image *)image)->capacity = size;
    return rs_alloc(size, 1);
}

static void *image_memcpy(void *dst, const void *src, size_t size, H5FD_file_image_op_t op,
                          void *image)
{
    (void)op;
    (void)image;
    return memcpy(dst, src, size);
}

/* The driver grows by its step; here by doubling, so that not every step copies. */
static void *image_realloc(void *bytes, size_t size, H5FD_file_image_op_t op, void *image)
{
    rs_h5_image *i = image;
    (void)op;
    if (bytes && size <= i->capacity)
        return bytes;
    size_t capacity = bytes && size < 2 * i->capacity ? 2 * i->capacity : size;
    void *more = rs_alloc(capacity, 1);
    if (bytes)
        memcpy(more, bytes, i->capacity);
    rs_dealloc(bytes);
    i->capacity = capacity;
    return more;
}

static herr_t image_free(void *bytes, H5FD_file_image_op_t op, void *image)
{
    if (op == H5FD_FILE_IMAGE_OP_FILE_CLOSE)
        ((rs_h5_image *)image)->bytes = bytes;
    else
        rs_dealloc(bytes);
    return 0;
}

/* One image for all copies of the plan. */
static void *image_copy(void *image)
{
    return image;
}

static herr_t image_done(void *image)
{
    (void)image;
    return 0;
}

void rs_h5_in_memory(hid_t plan, rs_h5_image *image)
{
    enum { STEP = 1 << 20 };
    H5FD_file_image_callbacks_t calls = {.image_malloc = image_malloc,
                                         .image_memcpy = image_memcpy,
                                         .image_realloc = image_realloc,
                                         .image_free = image_free,
                                         .udata_copy = image_copy,
                                         .udata_free = image_done,
                                         .udata = image};
    H5Pset_fapl_core(plan, STEP, false);
    H5Pset_file_image_callbacks(plan, &calls);
}

/* The end-of-file address of superblocks 2 and 3, little-endian (HDF5 File Format Specification
 * 3.0, II.A). */
size_t rs_h5_image_size(const rs_h5_image *image)
{
    enum { VERSION = 8, END = 28 };
    const unsigned char *b = image->bytes;
    uint64_t end = 0;
    RS_ASSERT(b[VERSION] == 2 || b[VERSION] == 3);
    for (int i = 7; i >= 0; i--)
        end = end << 8 | b[END + i];
    return (size_t)end;
}
