/* Archives in the folder of a test case. */
#ifndef RS_TESTS_ARCHIVES_H
#define RS_TESTS_ARCHIVES_H

#include "base/tensor.h"
#include "store/archive.h"

/* A file of the case's folder (t_tmpdir); a new archive there. */
char *t_archive_path(const char *name);
rs_archive *t_archive_create(const char *name);
/* Commit it and open it for reading. */
rs_archive *t_archive_reopen(rs_archive *a);
/* Any bytes: every bit pattern must survive, NaN payloads included. */
rs_tensor t_pattern(rs_dtype dtype, int ndim, const int64_t *shape);
bool t_same_tensor(rs_tensor a, rs_tensor b); /* type, shape, bytes */
/* Fails the case where an HDF5 object is still open. */
void t_no_hdf5_objects(void);

#endif
