/* The measure that another program makes (contract: docs/measures.md). */
#include <math.h>
#include <string.h>

#include "base/fsio.h"
#include "base/log.h"
#include "base/process.h"
#include "base/str.h"
#include "media/encode.h"
#include "stage/measure_edit.h"

typedef struct command {
    rs_arena *a;
    char **words;
    int64_t n;
    const char *folder; /* of the frames as PNG files; NULL: not asked for */
} command;

/* `word` with every `what` replaced. */
static char *replace(rs_arena *a, const char *word, const char *what, const char *by)
{
    rs_strbuf out = rs_strbuf_on(a);
    for (const char *at; (at = strstr(word, what)); word = at + strlen(what)) {
        rs_strbuf_add(&out, word, (size_t)(at - word));
        rs_strbuf_add(&out, by, strlen(by));
    }
    rs_strbuf_add(&out, word, strlen(word));
    return out.data;
}

/* Words of the command with {video} and {frames} filled in; without either the movie comes last. */
static rs_status prepare(command *c, const char *line, const char *movie)
{
    bool placed = strstr(line, "{video}") || strstr(line, "{frames}");
    RS_TRY(rs_split_words(&c->words, &c->n, c->a, line));
    if (strstr(line, "{frames}"))
        c->folder = rs_arena_printf(c->a, "%s/.%s.frames", rs_path_dirname(c->a, movie),
                                    rs_path_basename(movie));
    char **words = RS_NEW(c->a, char *, c->n + 2);
    for (int64_t i = 0; i < c->n; i++) {
        words[i] = replace(c->a, c->words[i], "{video}", movie);
        if (c->folder)
            words[i] = replace(c->a, words[i], "{frames}", c->folder);
    }
    if (!placed)
        words[c->n++] = rs_arena_strdup(c->a, movie);
    c->words = words;
    return RS_OK;
}

/* The first line of a text, at most so much that a log line can hold. */
static const char *first_line(rs_arena *a, const char *text)
{
    enum { MOST = 200 };
    size_t n = strcspn(text, "\n");
    return rs_arena_strndup(a, text, n < MOST ? n : MOST);
}

/* The mean of one number, or of one number per frame; anything else is RS_FORMAT. */
static rs_status parse(double *score, rs_arena *a, char *text, int64_t frames)
{
    double sum = 0, v;
    int64_t n = 0;
    for (char *line = strtok_r(text, "\n", &text); line; line = strtok_r(NULL, "\n", &text)) {
        line += strspn(line, " \t\r");
        line[strcspn(line, " \t\r")] = 0;
        if (!*line)
            continue;
        if (!rs_parse_f64(&v, line))
            return RS_FAIL(FORMAT, "printed \"%s\", which is no number", first_line(a, line));
        sum += v;
        n++;
    }
    if (n != 1 && n != frames)
        return RS_FAIL(FORMAT, "printed %lld numbers; expected one, or one for each of %lld frames",
                       (long long)n, (long long)frames);
    *score = sum / (double)n;
    return RS_OK;
}

static rs_status judge(double *score, command *c, const rs_process_result *r, double timeout,
                       int64_t frames)
{
    const char *said = first_line(c->a, r->err), *colon = *said ? ": " : "";
    if (r->timed_out)
        return RS_FAIL(IO, "was ended after %g s%s%s", timeout, colon, said);
    if (r->signal)
        return RS_FAIL(IO, "was ended by signal %d%s%s", r->signal, colon, said);
    if (r->exit_code)
        return RS_FAIL(IO, "exited with %d%s%s", r->exit_code, colon, said);
    return parse(score, c->a, r->out, frames);
}

static rs_status run_command(double *score, command *c, const rs_run *run, const char *movie,
                             rs_tensor frames)
{
    rs_process_result r;
    rs_process_opts o = {.timeout_s = run->cfg->measure.deqa_timeout, .stop = run->stop};
    RS_TRY(prepare(c, run->cfg->measure.deqa_command, movie));
    if (c->folder)
        RS_TRY(rs_frames_write_png(c->folder, frames));
    RS_TRY(rs_process_run(&r, c->a, c->words, &o));
    return judge(score, c, &r, o.timeout_s, frames.shape[0]);
}

rs_status rs_measure_deqa(double *score, const rs_run *run, const char *movie, rs_tensor frames)
{
    *score = NAN;
    if (!run->cfg->measure.deqa_command[0])
        return RS_OK;
    command c = {.a = rs_arena_create()};
    rs_status st = run_command(score, &c, run, movie, frames);
    if (st != RS_OK && st != RS_STOPPED) {
        RS_LOG(WARN, "measure.deqa_command \"%s\" %s", run->cfg->measure.deqa_command,
               rs_error_message());
        rs_error_clear();
        st = RS_OK;
    }
    if (c.folder && rs_remove_tree(c.folder) != RS_OK) {
        RS_LOG(WARN, "%s", rs_error_message());
        rs_error_clear();
    }
    rs_arena_destroy(&c.a);
    return st;
}
