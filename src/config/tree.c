/* libyaml's document API, turned into our own nodes at once: no libyaml type leaves this file. */
#include "config/tree_priv.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/fsio.h"

/* Far above any real file. Deep flow nesting and many anchors take libyaml quadratic time. */
enum { FILE_MAX = 16 << 20, DEPTH_MAX = 64, ANCHORS_MAX = 1000, NODES_MAX = 1000000 };

static rs_where place(const rs_yctx *c, int64_t line, int64_t col)
{
    return c->value ? (rs_where){c->file, 0, 0} : (rs_where){c->file, line, col};
}

rs_where rs_ywhere(const rs_yctx *c, const rs_ynode *n)
{
    return n ? place(c, n->line, n->col) : place(c, 0, 0);
}

/* Place of a byte: lines and characters from 1. */
static rs_where where_of_byte(const rs_yctx *c, const char *text, size_t at)
{
    rs_where w = {c->file, 1, 1};
    for (size_t i = 0; i < at; i++) {
        if (text[i] == '\n') {
            w.line++;
            w.col = 1;
        } else if (((unsigned char)text[i] & 0xC0) != 0x80) {
            w.col++;
        }
    }
    return place(c, w.line, w.col);
}

/* Length of the UTF-8 sequence at p, 0 if it is not one (RFC 3629: no overlong forms, no
 * surrogates). */
static size_t utf8_length(const unsigned char *p, size_t left)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xC0 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (n < 2)
        return n;
    if (n > left || p[0] > 0xF4)
        return 0;
    uint32_t code = p[0] & (0x7Fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
        code = code << 6 | (p[i] & 0x3Fu);
    }
    return code >= least[n] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF) ? n : 0;
}

bool rs_ycheck_utf8(const rs_yctx *c, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes;) {
        size_t n = utf8_length((const unsigned char *)text + i, bytes - i);
        if (n == 0) {
            rs_problems_add(c->problems, where_of_byte(c, text, i), NULL,
                            "not UTF-8: byte 0x%02X at offset %zu", (unsigned char)text[i], i);
            return false;
        }
        i += n;
    }
    return true;
}

/* The character libyaml stopped at is a tab: its own message does not say so. */
static bool is_tab_at(const char *text, size_t bytes, int64_t line, int64_t col)
{
    size_t i = 0;
    for (int64_t l = 1; l < line && i < bytes; i++)
        l += text[i] == '\n';
    for (int64_t c = 1; c < col && i < bytes; i++)
        c += i + 1 >= bytes || ((unsigned char)text[i + 1] & 0xC0) != 0x80;
    return i < bytes && text[i] == '\t';
}

static void add_parser_problem(const rs_yctx *c, const yaml_parser_t *parser, const char *text,
                               size_t bytes)
{
    if (parser->error == YAML_READER_ERROR) {
        rs_problems_add(c->problems, where_of_byte(c, text, parser->problem_offset), NULL,
                        "not valid YAML: %s (byte offset %zu)", parser->problem,
                        parser->problem_offset);
        return;
    }
    int64_t line = (int64_t)parser->problem_mark.line + 1;
    int64_t col = (int64_t)parser->problem_mark.column + 1;
    rs_where w = place(c, line, col);
    if (is_tab_at(text, bytes, line, col))
        rs_problems_add(c->problems, w, NULL, "not valid YAML: a tab; indent with spaces");
    else if (parser->context && !c->value)
        rs_problems_add(c->problems, w, NULL, "not valid YAML: %s, %s that starts in line %zu",
                        parser->problem, parser->context, parser->context_mark.line + 1);
    else
        rs_problems_add(c->problems, w, NULL, "not valid YAML: %s",
                        parser->problem ? parser->problem : "cannot be parsed");
}

typedef struct shape {
    int64_t depth, nodes, anchors;
} shape;

static const char *count_event(shape *s, const yaml_event_t *e)
{
    const yaml_char_t *anchor = NULL;
    if (e->type == YAML_SEQUENCE_START_EVENT)
        anchor = e->data.sequence_start.anchor;
    else if (e->type == YAML_MAPPING_START_EVENT)
        anchor = e->data.mapping_start.anchor;
    else if (e->type == YAML_SCALAR_EVENT)
        anchor = e->data.scalar.anchor;
    s->depth += e->type == YAML_SEQUENCE_START_EVENT || e->type == YAML_MAPPING_START_EVENT;
    s->depth -= e->type == YAML_SEQUENCE_END_EVENT || e->type == YAML_MAPPING_END_EVENT;
    s->anchors += anchor != NULL;
    s->nodes++;
    if (s->depth > DEPTH_MAX)
        return "nested too deeply (more than 64 levels)";
    if (s->anchors > ANCHORS_MAX)
        return "too many anchors (more than 1000)";
    return s->nodes > NODES_MAX ? "too large (more than 1000000 values)" : NULL;
}

/* Hostile shapes end here, event by event, before the document is built. Syntax errors are left to
 * the second pass. */
static bool check_shape(const rs_yctx *c, const char *text, size_t bytes)
{
    yaml_parser_t parser;
    yaml_event_t e;
    shape s = {0};
    const char *problem = NULL;
    RS_ASSERTF(yaml_parser_initialize(&parser), "out of host memory");
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, bytes);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    for (bool more = true; more && !problem;) {
        if (!yaml_parser_parse(&parser, &e))
            break;
        problem = count_event(&s, &e);
        if (problem)
            rs_problems_add(
                c->problems,
                place(c, (int64_t)e.start_mark.line + 1, (int64_t)e.start_mark.column + 1), NULL,
                "%s", problem);
        more = e.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&e);
    }
    yaml_parser_delete(&parser);
    return !problem;
}

static bool check_tag(const rs_yctx *c, const yaml_node_t *from, const rs_ynode *to)
{
    static const char *const usual[] = {[YAML_SCALAR_NODE] = YAML_STR_TAG,
                                        [YAML_SEQUENCE_NODE] = YAML_SEQ_TAG,
                                        [YAML_MAPPING_NODE] = YAML_MAP_TAG};
    if (!from->tag || strcmp((const char *)from->tag, usual[from->type]) == 0)
        return true;
    rs_problems_add(c->problems, rs_ywhere(c, to), NULL, "tags are not used here: %.60s",
                    (const char *)from->tag);
    return false;
}

static void convert_node(const rs_yctx *c, const yaml_node_t *from, rs_ynode *nodes, rs_ynode *to)
{
    if (from->type == YAML_SCALAR_NODE) {
        to->kind = RS_Y_SCALAR;
        to->plain = from->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        to->bytes = from->data.scalar.length;
        char *text = rs_arena_alloc(c->arena, to->bytes + 1, 1);
        memcpy(text, from->data.scalar.value, to->bytes);
        to->text = text;
    } else if (from->type == YAML_SEQUENCE_NODE) {
        const yaml_node_item_t *items = from->data.sequence.items.start;
        to->kind = RS_Y_LIST;
        to->n = from->data.sequence.items.top - items;
        to->items = RS_NEW(c->arena, const rs_ynode *, to->n);
        for (int64_t i = 0; i < to->n; i++)
            to->items[i] = &nodes[items[i] - 1];
    } else {
        const yaml_node_pair_t *pairs = from->data.mapping.pairs.start;
        to->kind = RS_Y_MAP;
        to->n = from->data.mapping.pairs.top - pairs;
        to->items = RS_NEW(c->arena, const rs_ynode *, 2 * to->n);
        for (int64_t i = 0; i < to->n; i++) {
            to->items[2 * i] = &nodes[pairs[i].key - 1];
            to->items[2 * i + 1] = &nodes[pairs[i].value - 1];
        }
    }
}

static const rs_ynode *convert(const rs_yctx *c, const yaml_document_t *doc)
{
    const yaml_node_t *from = doc->nodes.start;
    int64_t n = doc->nodes.top - from;
    if (n == 0) {
        rs_problems_add(c->problems, place(c, 1, 1), NULL, "the %s is empty",
                        c->value ? "value" : "file");
        return NULL;
    }
    rs_ynode *nodes = RS_NEW(c->arena, rs_ynode, n);
    bool ok = true;
    for (int64_t i = 0; i < n; i++) {
        nodes[i].line = (int64_t)from[i].start_mark.line + 1;
        nodes[i].col = (int64_t)from[i].start_mark.column + 1;
        ok = check_tag(c, &from[i], &nodes[i]) && ok;
        convert_node(c, &from[i], nodes, &nodes[i]);
    }
    return ok ? &nodes[0] : NULL;
}

static bool check_last_document(const rs_yctx *c, yaml_parser_t *parser, const char *text,
                                size_t bytes)
{
    yaml_document_t doc;
    if (!yaml_parser_load(parser, &doc)) {
        add_parser_problem(c, parser, text, bytes);
        return false;
    }
    const yaml_node_t *root = yaml_document_get_root_node(&doc);
    if (root)
        rs_problems_add(
            c->problems,
            place(c, (int64_t)doc.start_mark.line + 1, (int64_t)doc.start_mark.column + 1), NULL,
            "a second YAML document; only one is allowed");
    yaml_document_delete(&doc);
    return !root;
}

const rs_ynode *rs_ytree_parse(const rs_yctx *c, const char *text, size_t bytes)
{
    if (bytes >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        bytes -= 3;
    }
    if (bytes > FILE_MAX) {
        rs_problems_add(c->problems, rs_ywhere(c, NULL), NULL, "%zu bytes; at most %d are accepted",
                        bytes, FILE_MAX);
        return NULL;
    }
    if (!rs_ycheck_utf8(c, text, bytes) || !check_shape(c, text, bytes))
        return NULL;
    yaml_parser_t parser;
    yaml_document_t doc;
    const rs_ynode *root = NULL;
    RS_ASSERTF(yaml_parser_initialize(&parser), "out of host memory");
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, bytes);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    if (!yaml_parser_load(&parser, &doc)) {
        add_parser_problem(c, &parser, text, bytes);
    } else {
        root = convert(c, &doc);
        yaml_document_delete(&doc);
        if (root && !check_last_document(c, &parser, text, bytes))
            root = NULL;
    }
    yaml_parser_delete(&parser);
    return root;
}

const rs_ynode *rs_ytree_read(const rs_yctx *c)
{
    char *text;
    size_t bytes;
    if (rs_file_size(c->file) > FILE_MAX) {
        rs_problems_add(c->problems, rs_ywhere(c, NULL), NULL, "larger than %d bytes", FILE_MAX);
        return NULL;
    }
    if (rs_read_file(&text, &bytes, c->arena, c->file) != RS_OK) {
        const char *message = rs_error_message();
        size_t skip = strlen(c->file) + 2; /* the message starts with "<file>: " */
        rs_problems_add(c->problems, rs_ywhere(c, NULL), NULL, "%s",
                        strlen(message) > skip ? message + skip : message);
        return NULL;
    }
    return rs_ytree_parse(c, text, bytes);
}
