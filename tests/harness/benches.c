#include "harness/benches.h"

#include <string.h>

#include "harness/test.h"

/* mpirun's own text follows the document. */
rs_json *t_json(const char *out)
{
    rs_json *doc;
    const char *begin = strstr(out, "{\n"), *end = begin ? strstr(begin, "\n}\n") : NULL;
    T_CHECKF(end, "no document in: %s", out);
    T_OK(rs_json_parse(&doc, begin, (size_t)(end + 3 - begin), "output"));
    return doc;
}

double t_number(const rs_json *o, const char *key)
{
    double v;
    T_OK(rs_json_f64(&v, o, key));
    return v;
}

const char *t_text(const rs_json *o, const char *key)
{
    const char *v;
    T_OK(rs_json_string(&v, o, key));
    return v;
}

const rs_json *t_array(const rs_json *o, const char *key, int64_t n)
{
    const rs_json *v;
    T_OK(rs_json_array(&v, o, key));
    T_EQ_I(rs_json_size(v), n);
    return v;
}

/* What every document says of where it was made. */
void t_bench_head(const rs_json *doc, const char *format, int ranks)
{
    const rs_json *machine, *libraries;
    T_EQ_S(t_text(doc, "format"), format);
    T_CHECK(strstr(t_text(doc, "program"), "reshoot ") == t_text(doc, "program"));
    T_CHECK(*t_text(doc, "commit"));
    T_OK(rs_json_object(&libraries, doc, "libraries"));
    T_CHECK(strstr(t_text(libraries, "mpi"), "MPI") &&
            strstr(t_text(libraries, "hdf5"), "HDF5 1."));
    T_OK(rs_json_object(&machine, doc, "machine"));
    T_EQ_I(t_number(machine, "ranks"), ranks);
    const rs_json *host = rs_json_at(t_array(machine, "hosts", 1), 0);
    T_EQ_I(t_number(host, "ranks"), ranks);
    T_CHECK(t_number(host, "processors") >= 1 && *t_text(host, "name") && *t_text(host, "cpu"));
}
