#include "live/timeline.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"

enum { FIELDS = 9 };

static const char *const k_kinds[] = {"task", "edit"};
static const char *const k_hows[RS_LIVE_HOWS] = {"done", "cached", "failed", "stopped"};

const char *rs_live_how_name(rs_live_how how)
{
    return k_hows[how];
}

/* The double nearest to whole microseconds: it is what "%.6f" reads back as. */
double rs_timeline_now(void)
{
    return round(rs_wall_clock() * 1e6) / 1e6;
}

/* In quotes, line breaks as blanks: one record is one line. */
static void put_reason(FILE *f, const char *s)
{
    if (!s || !*s)
        return;
    putc('"', f);
    for (; *s; s++) {
        if (*s == '"')
            putc('"', f);
        putc(*s == '\n' || *s == '\r' ? ' ' : *s, f);
    }
    putc('"', f);
}

rs_status rs_timeline_write(FILE *f, const rs_timeline_line *l)
{
    if (fseek(f, 0, SEEK_END) == 0 && ftell(f) == 0)
        fputs(RS_TIMELINE_HEAD, f);
    fprintf(f, "%s,%s,%s,%s,%s,%s,%.6f,%.6f,", k_kinds[l->kind], k_hows[l->how],
            l->arm ? l->arm : "", l->video ? l->video : "", l->edit ? l->edit : "",
            l->stage < 0 ? "" : rs_task_stage_name((rs_task_stage)l->stage), l->begin, l->end);
    put_reason(f, l->reason);
    putc('\n', f);
    if (fflush(f) == 0 && !ferror(f))
        return RS_OK;
    clearerr(f);
    return RS_FAIL(IO, "timeline: %s", strerror(errno));
}

/* A quoted field ends at its closing quote; two quotes stand for one. */
static char *end_quoted(char *p)
{
    char *to = p;
    for (; *p && !(*p == '"' && p[1] != '"'); p++) {
        p += *p == '"';
        *to++ = *p;
    }
    bool closed = *p == '"';
    *to = 0;
    return closed ? p + 1 : p;
}

int rs_csv_split(char **fields, int most, char *text)
{
    int n = 0;
    for (char *p = text; p; n++) {
        bool quoted = *p == '"';
        if (n < most)
            fields[n] = p + quoted;
        p = quoted ? end_quoted(p + 1) : p;
        p = strchr(p, ',');
        if (p)
            *p++ = 0;
    }
    return n < most ? n : most;
}

static int find(const char *const *names, int n, const char *name)
{
    int i = 0;
    while (i < n && strcmp(names[i], name) != 0)
        i++;
    return i;
}

bool rs_timeline_parse(rs_timeline_line *out, char *text)
{
    char *f[FIELDS];
    if (rs_csv_split(f, FIELDS, text) != FIELDS)
        return false;
    int kind = find(k_kinds, 2, f[0]), how = find(k_hows, RS_LIVE_HOWS, f[1]), stage = 0;
    while (stage < RS_LIVE_STAGES && strcmp(rs_task_stage_name((rs_task_stage)stage), f[5]) != 0)
        stage++;
    *out = (rs_timeline_line){.kind = (rs_timeline_kind)kind,
                              .how = (rs_live_how)how,
                              .arm = f[2],
                              .video = f[3],
                              .edit = f[4],
                              .stage = *f[5] ? stage : -1,
                              .reason = f[8]};
    return kind < 2 && how < RS_LIVE_HOWS && out->stage < RS_LIVE_STAGES &&
           rs_parse_f64(&out->begin, f[6]) && rs_parse_f64(&out->end, f[7]);
}
