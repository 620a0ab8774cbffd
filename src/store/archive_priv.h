/* Private to archive*.c: the object, and the one way in which HDF5 failures become our errors. */
#ifndef RS_STORE_ARCHIVE_PRIV_H
#define RS_STORE_ARCHIVE_PRIV_H

#include <hdf5.h>

#include "store/archive.h"

/* The bytes of a file that was in memory, once it is closed; rs_dealloc them. */
typedef struct rs_h5_image {
    void *bytes;
    size_t capacity; /* of the driver's buffer */
} rs_h5_image;

/* Files with this access plan lie in memory; their bytes are left in the image, which outlives the
 * plan and the file. */
void rs_h5_in_memory(hid_t plan, rs_h5_image *image);
size_t rs_h5_image_size(const rs_h5_image *image);

struct rs_archive {
    rs_arena *arena;
    const char *path;
    bool writing; /* in memory; false: read-only */
    rs_h5_image image;
    hid_t file;
};

/* Record what the HDF5 error stack of this thread says, in one line. */
rs_status rs_h5_fail_at(rs_status st, const char *path, const char *object, const char *file,
                        int line, const char *func);
/* `call` gives a negative value on failure (HDF5's ids and statuses alike). */
#define RS_H5_OUT(code, a, object, call)                                                           \
    do {                                                                                           \
        if ((call) < 0) {                                                                          \
            st = rs_h5_fail_at(RS_##code, (a)->path, object, __FILE__, __LINE__, __func__);        \
            goto out;                                                                              \
        }                                                                                          \
    } while (0)

/* Stop HDF5 from printing its error stack in this thread; every entry point that calls HDF5 does
 * it. */
void rs_h5_quiet(void);
/* Close any kind of id; negative ids are nothing. For reading and for cleanup paths. */
void rs_h5_drop(hid_t id);

/* Links with UTF-8 names. Datasets without time stamps. Groups on the way to an object are made
 * first. */
hid_t rs_h5_link_plan(void);
rs_status rs_h5_make_parents(rs_archive *a, const char *object) RS_NODISCARD;
/* Layout of a new dataset so that its data have a checksum: inside the (checksummed) object header
 * below RS_H5_COMPACT bytes, else in chunks that are shuffled by `element` bytes (1: not), deflated
 * (0: not) and end with a fletcher32. */
enum { RS_H5_COMPACT = 4096 };
hid_t rs_h5_dataset_plan(size_t bytes, size_t element, int deflate, int ndim, const hsize_t *chunk);
/* Size of the file that this object lies in: bounds what its headers may claim. */
int64_t rs_h5_file_bytes(hid_t object);
/* Open a dataset for reading, with its types checked by the caller. */
rs_status rs_h5_open_dataset(hid_t *out, const rs_archive *a, const char *object) RS_NODISCARD;
/* UTF-8 string of a fixed length, with its zero. */
hid_t rs_h5_string_type(size_t bytes);
/* Element type of a tensor type (a new id), and back; false: a type that is not ours. */
hid_t rs_h5_type_of(rs_dtype t);
bool rs_h5_dtype_of(rs_dtype *out, hid_t type);

#endif
