/* A file or folder of named weights, whatever its format: safetensors (with shards and index) or
 * torch zip. The one interface that model loading uses. */
#ifndef RS_STORE_WEIGHTS_FILE_H
#define RS_STORE_WEIGHTS_FILE_H

#include "base/status.h"
#include "base/tensor.h"

typedef struct rs_weights_file rs_weights_file;

/* `path`: a torch zip file (known by its content), a safetensors file or index, or a folder: as
 * rs_safetensors_open, else the only *.pth or *.pt in it. RS_IO / RS_FORMAT name the file. */
rs_status rs_weights_file_open(rs_weights_file **out, const char *path) RS_NODISCARD;
void rs_weights_file_close(rs_weights_file **w); /* accepts NULL, nulls the pointer */

/* Tensors in file order. Data are read-only and, like the names, valid until close. Lookups only
 * read: any number of threads. */
const rs_tensor *rs_weights_file_find(const rs_weights_file *w, const char *name); /* or NULL */
int64_t rs_weights_file_count(const rs_weights_file *w);
const char *rs_weights_file_name(const rs_weights_file *w, int64_t i);
const rs_tensor *rs_weights_file_at(const rs_weights_file *w, int64_t i);
/* The tensor, which must have this shape. RS_MODEL names path, tensor and both shapes. */
rs_status rs_weights_file_get(rs_tensor *out, const rs_weights_file *w, const char *name, int ndim,
                              const int64_t *shape) RS_NODISCARD;

/* What was opened: the path given, and the data files (for content keys). */
const char *rs_weights_file_path(const rs_weights_file *w);
int64_t rs_weights_file_file_count(const rs_weights_file *w);
const char *rs_weights_file_file(const rs_weights_file *w, int64_t i);

#endif
