#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/cli.h"

void rs_out(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stdout, fmt, ap);
    va_end(ap);
}

static void list_add(rs_opt_list *l, rs_arena *a, const char *item)
{
    l->items = rs_arena_grow(a, l->items, &l->cap, (size_t)l->n + 1, sizeof *l->items);
    l->items[l->n++] = item;
}

static rs_status unknown(const char *arg, const rs_command *c, rs_arena *a)
{
    const char **names = RS_NEW(a, const char *, c->n_opts + 1);
    for (int i = 0; i < c->n_opts; i++)
        names[i] = c->opts[i].name;
    names[c->n_opts] = "--help";
    const char *near = rs_nearest(arg, names, c->n_opts + 1);
    return near ? RS_FAIL(USAGE, "%s: unknown option %s; did you mean %s?", c->name, arg, near)
                : RS_FAIL(USAGE, "%s: unknown option %s; see reshoot %s --help", c->name, arg,
                          c->name);
}

static rs_status store_value(void *field, const rs_opt *o, const char *value, rs_arena *a)
{
    switch (o->kind) {
    case RS_OPT_STRING:
        *(const char **)field = value;
        return RS_OK;
    case RS_OPT_LIST:
        list_add(field, a, value);
        return RS_OK;
    case RS_OPT_INT:
        if (!rs_parse_i64(field, value))
            return RS_FAIL(USAGE, "%s: \"%s\" is not an integer", o->name, value);
        return RS_OK;
    case RS_OPT_FLOAT:
        if (!rs_parse_f64(field, value))
            return RS_FAIL(USAGE, "%s: \"%s\" is not a number", o->name, value);
        return RS_OK;
    case RS_OPT_FLAG:
        break;
    }
    return RS_FAIL(USAGE, "%s takes no value", o->name);
}

static const rs_opt *find(const rs_command *c, const char *name, size_t len)
{
    for (int i = 0; i < c->n_opts; i++)
        if (strlen(c->opts[i].name) == len && strncmp(c->opts[i].name, name, len) == 0)
            return &c->opts[i];
    return NULL;
}

/* The option at argv[*i], and its value, which may be the next argument. */
static rs_status parse_option(char *base, int *i, const rs_command *c, int argc, char **argv,
                              rs_arena *a)
{
    char *arg = argv[*i];
    char *eq = strchr(arg, '=');
    size_t len = eq ? (size_t)(eq - arg) : strlen(arg);
    const rs_opt *o = find(c, arg, len);
    if (!o)
        return unknown(rs_arena_strndup(a, arg, len), c, a);
    void *field = base + o->offset;
    if (o->kind == RS_OPT_FLAG && !eq) {
        *(bool *)field = true;
        return RS_OK;
    }
    if (eq)
        return store_value(field, o, eq + 1, a);
    if (*i + 1 >= argc || strncmp(argv[*i + 1], "--", 2) == 0)
        return RS_FAIL(USAGE, "%s needs a value: %s %s", o->name, o->name, o->arg);
    *i += 1;
    return store_value(field, o, argv[*i], a);
}

static const char *usage(const rs_command *c, rs_arena *a)
{
    return rs_arena_printf(a, "usage: reshoot %s%s%s", c->name, *c->args ? " " : "", c->args);
}

rs_status rs_opt_parse(rs_call *call, const rs_command *c, int argc, char **argv, rs_arena *a)
{
    char *base = RS_NEW(a, char, c->opts_size + 1);
    if (c->defaults)
        memcpy(base, c->defaults, c->opts_size);
    *call = (rs_call){.opts = base, .arena = a};
    bool options = true;
    for (int i = 1; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0)
            options = false;
        else if (options && argv[i][0] == '-' && argv[i][1])
            RS_TRY(parse_option(base, &i, c, argc, argv, a));
        else
            list_add(&call->positional, a, argv[i]);
    }
    if (call->positional.n < c->n_min || (c->n_max >= 0 && call->positional.n > c->n_max))
        return RS_FAIL(USAGE, "%s", usage(c, a));
    return RS_OK;
}

bool rs_opt_wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

void rs_command_help(const rs_command *c)
{
    rs_arena *a = rs_arena_create();
    rs_out("%s\n\n%s", usage(c, a), c->about);
    size_t width = 0;
    const char **left = RS_NEW(a, const char *, c->n_opts + 1);
    for (int i = 0; i < c->n_opts; i++) {
        const rs_opt *o = &c->opts[i];
        left[i] = o->arg ? rs_arena_printf(a, "%s %s", o->name, o->arg) : o->name;
        width = strlen(left[i]) > width ? strlen(left[i]) : width;
    }
    if (c->n_opts)
        rs_out("\noptions:\n");
    for (int i = 0; i < c->n_opts; i++)
        rs_out("  %-*s  %s%s\n", (int)width, left[i], c->opts[i].doc,
               c->opts[i].kind == RS_OPT_LIST ? " (repeatable)" : "");
    if (c->more)
        c->more();
    rs_arena_destroy(&a);
}
