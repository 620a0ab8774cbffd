/* Private to the safetensors reader: one checked file. */
#ifndef RS_STORE_SAFETENSORS_PRIV_H
#define RS_STORE_SAFETENSORS_PRIV_H

#include "store/mapped.h"
#include "store/safetensors.h"

typedef struct st_entry {
    const char *name;
    rs_tensor t;
    int64_t begin; /* byte range in the file's data section */
    int64_t end;
    int64_t file; /* index of its file */
    void *copy;   /* aligned copy of misaligned data, owned; else NULL */
} st_entry;

typedef struct st_file {
    const char *path;
    rs_map map;
    st_entry *entries; /* header order */
    int64_t n;
    rs_meta *meta;
    int64_t n_meta;
} st_file;

/* Map and check one file; names and tables in `a`. On failure nothing stays mapped. */
rs_status rs_st_file_open(st_file *f, rs_arena *a, const char *path) RS_NODISCARD;
void rs_st_file_close(st_file *f);

#endif
