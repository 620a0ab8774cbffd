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

static rs_status unknown(const char *arg, const rs_opt *opts, int n, rs_arena *a)
{
    const char **names = RS_NEW(a, const char *, n + 1);
    for (int i = 0; i < n; i++)
        names[i] = opts[i].name;
    names[n] = "--help";
    const char *near = rs_nearest(arg, names, n + 1);
    return near ? RS_FAIL(USAGE, "unknown option %s; did you mean %s?", arg, near)
                : RS_FAIL(USAGE, "unknown option %s", arg);
}

static rs_status store_value(const rs_opt *o, const char *value, rs_arena *a)
{
    switch (o->kind) {
    case RS_OPT_STRING:
        *(const char **)o->value = value;
        return RS_OK;
    case RS_OPT_LIST:
        list_add(o->value, a, value);
        return RS_OK;
    case RS_OPT_INT:
        if (!rs_parse_i64(o->value, value))
            return RS_FAIL(USAGE, "%s: \"%s\" is not an integer", o->name, value);
        return RS_OK;
    case RS_OPT_FLOAT:
        if (!rs_parse_f64(o->value, value))
            return RS_FAIL(USAGE, "%s: \"%s\" is not a number", o->name, value);
        return RS_OK;
    case RS_OPT_FLAG:
        break;
    }
    return RS_FAIL(USAGE, "%s takes no value", o->name);
}

rs_status rs_opt_parse(int argc, char **argv, const rs_opt *opts, int n_opts,
                       rs_opt_list *positional, rs_arena *a)
{
    for (int i = 1; i < argc; i++) {
        char *arg = argv[i];
        if (strncmp(arg, "--", 2) != 0 || !arg[2]) {
            list_add(positional, a, arg);
            continue;
        }
        char *eq = strchr(arg, '=');
        size_t len = eq ? (size_t)(eq - arg) : strlen(arg);
        const rs_opt *o = NULL;
        for (int k = 0; k < n_opts && !o; k++)
            if (strlen(opts[k].name) == len && strncmp(opts[k].name, arg, len) == 0)
                o = &opts[k];
        if (!o)
            return unknown(rs_arena_strndup(a, arg, len), opts, n_opts, a);
        if (o->kind == RS_OPT_FLAG && !eq) {
            *(bool *)o->value = true;
            continue;
        }
        if (!eq && i + 1 >= argc)
            return RS_FAIL(USAGE, "%s needs a value", o->name);
        RS_TRY(store_value(o, eq ? eq + 1 : argv[++i], a));
    }
    return RS_OK;
}
