/* reshoot status: where a run stands, from its files alone. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/term.h"
#include "cli/cli.h"
#include "cli/status.h"

enum { MOST = 20 };

typedef struct options {
    bool watch, json, all;
    double every;
} options;

static const options k_defaults = {.every = 1};

static const rs_opt k_opts[] = {
    {"--watch", RS_OPT_FLAG, offsetof(options, watch), NULL,
     "again and again until the run ends or dies"},
    {"--every", RS_OPT_FLOAT, offsetof(options, every), "SECONDS", "between two looks (default 1)"},
    {"--json", RS_OPT_FLAG, offsetof(options, json), NULL,
     "everything as one document, with --watch one a look"},
    {"--all", RS_OPT_FLAG, offsetof(options, all), NULL, "every rank and every failure"},
};

/* On a terminal a page replaces the last one. */
static bool on_screen(const options *o)
{
    return o->watch && !o->json && rs_term_is_live(STDOUT_FILENO);
}

static rs_page_style style_of(const options *o)
{
    enum { WIDE = 1000 };
    return (rs_page_style){.view = {.width = on_screen(o) ? rs_term_width(STDOUT_FILENO) : WIDE,
                                    .colour = rs_term_colour(STDOUT_FILENO)},
                           .most = o->all ? 0 : MOST};
}

static void print(const options *o, rs_view *v, rs_arena *a)
{
    rs_strbuf text = rs_strbuf_on(a);
    rs_page_style style = style_of(o);
    if (o->json)
        rs_page_json(&text, v);
    else
        rs_page_text(&text, v, &style);
    rs_out("%s%s", on_screen(o) ? "\033[H\033[J" : "", text.data);
    fflush(stdout);
}

static void nap(double seconds)
{
    struct timespec t = {.tv_sec = (time_t)seconds};
    t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
    nanosleep(&t, NULL);
}

static rs_status watch(const options *o, rs_view *v)
{
    rs_status st = RS_OK;
    rs_arena *a = rs_arena_create();
    for (bool first = true; first || (o->watch && rs_view_is_alive(v)); first = false) {
        if (!first)
            nap(o->every);
        RS_TRY_OUT(rs_view_refresh(v));
        if (!first && !on_screen(o) && !o->json)
            rs_out("\n");
        print(o, v, a);
        rs_arena_reset(a);
    }
out:
    rs_arena_destroy(&a);
    return st;
}

static rs_status run(const rs_call *call)
{
    const options *o = call->opts;
    rs_view *v;
    if (!(o->every >= 0.1 && o->every <= 3600))
        return RS_FAIL(USAGE, "--every: 0.1 to 3600 seconds");
    RS_TRY(rs_view_open(&v, call->positional.items[0]));
    rs_status st = watch(o, v);
    rs_view_close(&v);
    return st;
}

const rs_command rs_cmd_status = {
    .name = "status",
    .summary = "where a run stands, while it works or afterwards",
    .args = "RUN [options]",
    .about =
        "RUN is the output folder of an experiment. Says of every stage what is done, failed,\n"
        "running and waiting, of every rank what it does and for how long, which edits failed\n"
        "and why, when it will be over, and how busy the ranks were. All of it comes from the\n"
        "files in RUN/live: from another shell or host, of a run that works, ended, or died. A\n"
        "rank whose record is old is shown as gone: it was killed, stopped, or its host is\n"
        "away. Losses and rates of several ranks are means.\n",
    .n_min = 1,
    .n_max = 1,
    RS_COMMAND_OPTS(k_opts, options),
    .defaults = &k_defaults,
    .run = run,
};
