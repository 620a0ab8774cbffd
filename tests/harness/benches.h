/* Documents that `reshoot bench ... --json` prints; a member that is missing or of another type
 * fails the case. */
#ifndef RS_TESTS_BENCHES_H
#define RS_TESTS_BENCHES_H

#include "store/json.h"

/* The document in an output; mpirun's own text may follow it. For rs_json_destroy. */
rs_json *t_json(const char *out);
double t_number(const rs_json *o, const char *key);
const char *t_text(const rs_json *o, const char *key);
const rs_json *t_array(const rs_json *o, const char *key, int64_t n); /* n elements */
/* What every document says of where it was made, here: one host. */
void t_bench_head(const rs_json *doc, const char *format, int ranks);

#endif
