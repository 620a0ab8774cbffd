#include "comm/trace.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "comm/comm_priv.h"

struct rs_trace {
    rs_trace_opts opts;
    char path[512];
    FILE *file;
    pthread_mutex_t lock;
    rs_comm_total totals[RS_COMM_OP_COUNT];
};

/* Labels are the program's own words: quotes and controls become blanks instead of escapes. */
static void quoted(FILE *f, const char *key, const char *text)
{
    fprintf(f, "\"%s\":\"", key);
    for (const char *p = text ? text : ""; *p; p++)
        fputc((unsigned char)*p < 32 || *p == '"' || *p == '\\' ? ' ' : *p, f);
    fputs("\",", f);
}

static void write_line(FILE *f, const rs_comm_event *e)
{
    fprintf(f, "{\"rank\":%d,", e->rank);
    quoted(f, "op", rs_comm_op_name(e->op));
    quoted(f, "comm", e->comm);
    quoted(f, "what", e->what);
    fprintf(f, "\"call\":%lld,\"bytes\":%zu,\"start\":%.6f,\"seconds\":%.6f,\"wait\":%.6f,",
            (long long)e->number, e->bytes, e->start_s, e->seconds, e->wait_s);
    fprintf(f, "\"status\":\"%s\"}\n", rs_status_name(e->status));
}

static rs_status after(void *ctx, rs_comm_request *r, rs_status st)
{
    rs_trace *t = ctx;
    rs_comm_event e = {.rank = r->comm->shared->rank,
                       .op = r->shown,
                       .comm = r->comm->name,
                       .what = r->call.what,
                       .number = r->number,
                       .bytes = r->bytes,
                       .start_s = r->start_s,
                       .seconds = r->done_s - r->start_s,
                       .wait_s = r->listed ? r->wait_s : r->done_s - r->start_s,
                       .status = st};
    pthread_mutex_lock(&t->lock);
    rs_comm_total *sum = &t->totals[e.op];
    sum->calls++;
    sum->failed += st != RS_OK;
    sum->bytes += e.bytes;
    sum->seconds += e.seconds;
    sum->wait_s += e.wait_s;
    if (t->file)
        write_line(t->file, &e);
    if (t->opts.fn)
        t->opts.fn(t->opts.ctx, &e);
    pthread_mutex_unlock(&t->lock);
    return st;
}

rs_status rs_trace_add(rs_trace **out, rs_comm *c, const rs_trace_opts *opts)
{
    rs_trace *t = rs_alloc(1, sizeof *t);
    t->opts = *opts;
    *out = NULL;
    if (opts->path) {
        snprintf(t->path, sizeof t->path, "%s", opts->path);
        t->file = fopen(opts->path, "a");
        if (!t->file) {
            rs_dealloc(t);
            return RS_FAIL(IO, "%s: cannot open the trace: %s", opts->path, strerror(errno));
        }
    }
    pthread_mutex_init(&t->lock, NULL);
    rs_comm_add_layer(c, &(rs_comm_layer){.ctx = t, .after = after});
    *out = t;
    return RS_OK;
}

rs_comm_total rs_trace_total(rs_trace *t, rs_comm_op op)
{
    pthread_mutex_lock(&t->lock);
    rs_comm_total total = t->totals[op];
    pthread_mutex_unlock(&t->lock);
    return total;
}

rs_status rs_trace_destroy(rs_trace **at)
{
    rs_trace *t = *at;
    rs_status st = RS_OK;
    if (!t)
        return RS_OK;
    if (t->file) {
        bool bad = ferror(t->file) != 0;
        if (fclose(t->file) != 0 || bad)
            st = RS_FAIL(IO, "%s: the trace is incomplete: %s", t->path, strerror(errno));
    }
    pthread_mutex_destroy(&t->lock);
    rs_dealloc(t);
    *at = NULL;
    return st;
}
