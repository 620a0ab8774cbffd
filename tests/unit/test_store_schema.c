// store: SCHEMA.md and schema_names.h name the same things.
#include <string.h>

#include "base/fsio.h"
#include "harness/test.h"

typedef struct names {
    const char *items[400];
    int n;
} names;

static char *source_file(const char *name)
{
    char *text;
    size_t n;
    T_OK(rs_read_file(&text, &n, t_arena(),
                      rs_arena_printf(t_arena(), "%s/src/store/%s", RS_SOURCE_DIR, name)));
    return text;
}

static bool known(const names *l, const char *s, size_t n)
{
    for (int i = 0; i < l->n; i++)
        if (strlen(l->items[i]) == n && memcmp(l->items[i], s, n) == 0)
            return true;
    return false;
}

static void add(names *l, const char *s, size_t n)
{
    T_CHECK(l->n < 400);
    if (!known(l, s, n))
        l->items[l->n++] = rs_arena_strndup(t_arena(), s, n);
}

/* Names on a path: its components, without <placeholders>. */
static void add_path(names *l, const char *s, size_t n)
{
    const char *end = s + n;
    while (s < end) {
        const char *slash = memchr(s, '/', (size_t)(end - s));
        const char *stop = slash ? slash : end;
        if (stop > s && *s != '<')
            add(l, s, (size_t)(stop - s));
        s = stop + 1;
    }
}

/* Texts between quotes of the constants. */
static names constants(void)
{
    names l = {.n = 0};
    char *text = source_file("schema_names.h");
    for (char *line = strtok_r(text, "\n", &text); line; line = strtok_r(NULL, "\n", &text)) {
        char *from = strncmp(line, "#define", 7) == 0 ? strchr(line, '"') : NULL;
        char *to = from ? strchr(from + 1, '"') : NULL;
        if (to)
            add_path(&l, from + 1, (size_t)(to - from - 1));
    }
    return l;
}

/* Backticked names in the first cells of tables and in headings; quoted values in the other cells.
 */
static names documented(void)
{
    names l = {.n = 0};
    char *text = source_file("SCHEMA.md");
    for (char *line = strtok_r(text, "\n", &text); line; line = strtok_r(NULL, "\n", &text)) {
        bool row = strncmp(line, "| `", 3) == 0, head = strncmp(line, "## `/", 5) == 0;
        char *from = row || head ? strchr(line, '`') : NULL;
        char *to = from ? strchr(from + 1, '`') : NULL;
        if (to)
            add_path(&l, from + 1, (size_t)(to - from - 1));
    }
    return l;
}

/* Values that are constants too; the document has them in quotes. */
static bool is_value(const char *s)
{
    static const char *const values[] = {"reshoot archive", "video",    "catalog",  "done",
                                         "failed",          "continue", "separate", "waiting",
                                         "running"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        if (strcmp(values[i], s) == 0)
            return true;
    return false;
}

static void t_constants_are_documented(void)
{
    names c = constants(), d = documented();
    char *text = source_file("SCHEMA.md");
    T_CHECKF(c.n > 50, "only %d constants found", c.n);
    for (int i = 0; i < c.n; i++) {
        const char *quoted = rs_arena_printf(t_arena(), "\"%s\"", c.items[i]);
        bool there = known(&d, c.items[i], strlen(c.items[i])) ||
                     (is_value(c.items[i]) && strstr(text, quoted));
        T_CHECKF(there, "SCHEMA.md does not explain '%s'", c.items[i]);
    }
}

static void t_documented_names_are_constants(void)
{
    names c = constants(), d = documented();
    T_CHECKF(d.n > 50, "only %d documented names found", d.n);
    for (int i = 0; i < d.n; i++)
        T_CHECKF(known(&c, d.items[i], strlen(d.items[i])), "'%s' is not in schema_names.h",
                 d.items[i]);
}

static const rs_test_case cases[] = {
    T_CASE(t_constants_are_documented),
    T_CASE(t_documented_names_are_constants),
};
RS_TEST_MAIN(cases)
