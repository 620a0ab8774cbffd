#include "store/pickle.h"

#include <inttypes.h>
#include <string.h>

#include "store/pickle_priv.h"

/* Opcodes, as in Python's pickletools. */
enum {
    OP_MARK = '(',
    OP_STOP = '.',
    OP_POP = '0',
    OP_POP_MARK = '1',
    OP_DUP = '2',
    OP_NONE = 'N',
    OP_NEWTRUE = 0x88,
    OP_NEWFALSE = 0x89,
    OP_BININT = 'J',
    OP_BININT1 = 'K',
    OP_BININT2 = 'M',
    OP_LONG1 = 0x8a,
    OP_BINFLOAT = 'G',
    OP_BINUNICODE = 'X',
    OP_SHORT_BINUNICODE = 0x8c,
    OP_BINUNICODE8 = 0x8d,
    OP_BINSTRING = 'T',
    OP_SHORT_BINSTRING = 'U',
    OP_BINBYTES = 'B',
    OP_SHORT_BINBYTES = 'C',
    OP_EMPTY_TUPLE = ')',
    OP_TUPLE = 't',
    OP_TUPLE1 = 0x85,
    OP_TUPLE2 = 0x86,
    OP_TUPLE3 = 0x87,
    OP_EMPTY_LIST = ']',
    OP_LIST = 'l',
    OP_APPEND = 'a',
    OP_APPENDS = 'e',
    OP_EMPTY_DICT = '}',
    OP_DICT = 'd',
    OP_SETITEM = 's',
    OP_SETITEMS = 'u',
    OP_GLOBAL = 'c',
    OP_STACK_GLOBAL = 0x93,
    OP_REDUCE = 'R',
    OP_NEWOBJ = 0x81,
    OP_BUILD = 'b',
    OP_BINPERSID = 'Q',
    OP_BINPUT = 'q',
    OP_LONG_BINPUT = 'r',
    OP_MEMOIZE = 0x94,
    OP_BINGET = 'h',
    OP_LONG_BINGET = 'j',
    OP_PROTO = 0x80,
    OP_FRAME = 0x95
};

rs_pv *rs_pickle_value(pickle *p, rs_pv_kind kind)
{
    rs_pv *v = RS_NEW(p->arena, rs_pv, 1);
    v->kind = kind;
    return v;
}

static rs_status take(const uint8_t **out, pickle *p, uint64_t n)
{
    if (n > p->bytes - p->at)
        return PICKLE_FAIL(p, "pickle ends early");
    *out = p->data + p->at;
    p->at += (size_t)n;
    return RS_OK;
}

/* Little-endian unsigned operand of 1 to 8 bytes. */
static rs_status take_word(uint64_t *out, pickle *p, int n)
{
    const uint8_t *b;
    RS_TRY(take(&b, p, (uint64_t)n));
    *out = 0;
    for (int i = n - 1; i >= 0; i--)
        *out = *out << 8 | b[i];
    return RS_OK;
}

static void push(pickle *p, rs_pv *v)
{
    p->stack = rs_arena_grow(p->arena, p->stack, &p->stack_cap, p->depth + 1, sizeof *p->stack);
    p->stack[p->depth++] = v;
}

/* Values above the last mark, or anywhere on the stack, that may be popped. */
static size_t available(const pickle *p)
{
    return p->depth - (p->n_marks ? p->marks[p->n_marks - 1] : 0);
}

static rs_status pop(rs_pv **out, pickle *p)
{
    if (available(p) == 0)
        return PICKLE_FAIL(p, "stack underflow");
    *out = p->stack[--p->depth];
    return RS_OK;
}

/* Take everything above the last mark: items stay valid until the next push. */
static rs_status pop_mark(rs_pv ***items, size_t *n, pickle *p)
{
    if (p->n_marks == 0)
        return PICKLE_FAIL(p, "no mark on the stack");
    size_t base = p->marks[--p->n_marks];
    *items = p->stack + base;
    *n = p->depth - base;
    p->depth = base;
    return RS_OK;
}

static void append(pickle *p, rs_pv *list, rs_pv *const *items, size_t n)
{
    list->items =
        rs_arena_grow(p->arena, list->items, &list->cap, list->n + n, sizeof *list->items);
    if (n)
        memcpy(list->items + list->n, items, n * sizeof *items);
    list->n += n;
}

static rs_status push_sequence(pickle *p, rs_pv_kind kind, rs_pv *const *items, size_t n)
{
    if (kind == RS_PV_DICT && n % 2)
        return PICKLE_FAIL(p, "dict with a key and no value");
    rs_pv *v = rs_pickle_value(p, kind);
    append(p, v, items, n);
    push(p, v);
    return RS_OK;
}

static rs_status push_marked(pickle *p, rs_pv_kind kind)
{
    rs_pv **items = NULL;
    size_t n = 0;
    RS_TRY(pop_mark(&items, &n, p));
    RS_TRY(push_sequence(p, kind, items, n));
    return RS_OK;
}

static rs_status push_tuple(pickle *p, size_t n)
{
    if (available(p) < n)
        return PICKLE_FAIL(p, "stack underflow");
    p->depth -= n;
    RS_TRY(push_sequence(p, RS_PV_TUPLE, p->stack + p->depth, n));
    return RS_OK;
}

static rs_status extend(pickle *p, rs_pv_kind kind, rs_pv *const *items, size_t n)
{
    if (available(p) == 0 || p->stack[p->depth - 1]->kind != kind)
        return PICKLE_FAIL(p, "items for something that is no %s",
                           kind == RS_PV_DICT ? "dict" : "list");
    if (kind == RS_PV_DICT && n % 2)
        return PICKLE_FAIL(p, "dict with a key and no value");
    append(p, p->stack[p->depth - 1], items, n);
    return RS_OK;
}

static rs_status extend_marked(pickle *p, rs_pv_kind kind)
{
    rs_pv **items = NULL;
    size_t n = 0;
    RS_TRY(pop_mark(&items, &n, p));
    RS_TRY(extend(p, kind, items, n));
    return RS_OK;
}

static rs_status extend_popped(pickle *p, rs_pv_kind kind, size_t n)
{
    if (available(p) < n + 1)
        return PICKLE_FAIL(p, "stack underflow");
    p->depth -= n;
    RS_TRY(extend(p, kind, p->stack + p->depth, n));
    return RS_OK;
}

static void push_int(pickle *p, int64_t number)
{
    rs_pv *v = rs_pickle_value(p, RS_PV_INT);
    v->number = number;
    push(p, v);
}

static rs_status push_uint(pickle *p, int bytes)
{
    uint64_t w = 0;
    RS_TRY(take_word(&w, p, bytes));
    push_int(p, (int64_t)w);
    return RS_OK;
}

static rs_status push_long1(pickle *p)
{
    uint64_t n = 0, w = 0;
    const uint8_t *b;
    RS_TRY(take_word(&n, p, 1));
    RS_TRY(take(&b, p, n));
    if (n > 8)
        return PICKLE_FAIL(p, "integer of %" PRIu64 " bytes", n);
    for (uint64_t i = 0; i < n; i++)
        w |= (uint64_t)b[i] << (8 * i);
    if (n && n < 8 && b[n - 1] & 0x80)
        w |= ~(uint64_t)0 << (8 * n); /* two's complement */
    push_int(p, (int64_t)w);
    return RS_OK;
}

static rs_status push_string(pickle *p, int length_bytes)
{
    uint64_t n = 0;
    const uint8_t *b;
    RS_TRY(take_word(&n, p, length_bytes));
    RS_TRY(take(&b, p, n));
    if (n && memchr(b, 0, (size_t)n))
        return PICKLE_FAIL(p, "string with a zero byte");
    rs_pv *v = rs_pickle_value(p, RS_PV_STRING);
    v->text = rs_arena_strndup(p->arena, (const char *)b, (size_t)n);
    push(p, v);
    return RS_OK;
}

static rs_status take_line(const char **out, pickle *p)
{
    const uint8_t *b = p->data + p->at;
    const uint8_t *end = memchr(b, '\n', p->bytes - p->at);
    if (!end)
        return PICKLE_FAIL(p, "pickle ends early");
    *out = rs_arena_strndup(p->arena, (const char *)b, (size_t)(end - b));
    p->at += (size_t)(end - b) + 1;
    return RS_OK;
}

static rs_status do_global(pickle *p, bool on_stack)
{
    const char *module, *name;
    rs_pv *v;
    if (on_stack) {
        rs_pv *m, *n;
        RS_TRY(pop(&n, p));
        RS_TRY(pop(&m, p));
        if (m->kind != RS_PV_STRING || n->kind != RS_PV_STRING)
            return PICKLE_FAIL(p, "global whose name is no string");
        module = m->text;
        name = n->text;
    } else {
        RS_TRY(take_line(&module, p));
        RS_TRY(take_line(&name, p));
    }
    RS_TRY(rs_pickle_global(&v, p, module, name));
    push(p, v);
    return RS_OK;
}

static rs_status do_reduce(pickle *p)
{
    rs_pv *args, *callable, *v;
    RS_TRY(pop(&args, p));
    RS_TRY(pop(&callable, p));
    RS_TRY(rs_pickle_reduce(&v, p, callable, args));
    push(p, v);
    return RS_OK;
}

/* Attributes of a dict (a state dict's _metadata) or parameter: nothing in them is a tensor of
 * ours. */
static rs_status do_build(pickle *p)
{
    rs_pv *state;
    RS_TRY(pop(&state, p));
    if (available(p) == 0)
        return PICKLE_FAIL(p, "stack underflow");
    return RS_OK;
}

static rs_status do_persistent(pickle *p)
{
    rs_pv *id, *v;
    RS_TRY(pop(&id, p));
    RS_TRY(rs_pickle_persistent(&v, p, id));
    push(p, v);
    return RS_OK;
}

static rs_status memo_put(pickle *p, int bytes)
{
    uint64_t i = 0;
    if (bytes)
        RS_TRY(take_word(&i, p, bytes));
    else /* MEMOIZE: slots are counted */
        i = p->n_memo;
    if (available(p) == 0)
        return PICKLE_FAIL(p, "stack underflow");
    if (i > p->at) /* picklers count up from 0 */
        return PICKLE_FAIL(p, "memo slot %" PRIu64 " is out of range", i);
    p->memo = rs_arena_grow(p->arena, p->memo, &p->memo_cap, (size_t)i + 1, sizeof *p->memo);
    p->n_memo += !p->memo[i];
    p->memo[i] = p->stack[p->depth - 1];
    return RS_OK;
}

static rs_status memo_get(pickle *p, int bytes)
{
    uint64_t i = 0;
    RS_TRY(take_word(&i, p, bytes));
    if (i >= p->memo_cap || !p->memo[i])
        return PICKLE_FAIL(p, "memo slot %" PRIu64 " is empty", i);
    push(p, p->memo[i]);
    return RS_OK;
}

static void push_mark(pickle *p)
{
    p->marks = rs_arena_grow(p->arena, p->marks, &p->marks_cap, p->n_marks + 1, sizeof *p->marks);
    p->marks[p->n_marks++] = p->depth;
}

static rs_status push_kind(pickle *p, rs_pv_kind kind, int64_t number)
{
    rs_pv *v = rs_pickle_value(p, kind);
    v->number = number;
    push(p, v);
    return RS_OK;
}

static rs_status do_stack(pickle *p, uint8_t op)
{
    rs_pv *v, **items;
    size_t n;
    const uint8_t *b;
    switch (op) {
    case OP_MARK:
        push_mark(p);
        return RS_OK;
    case OP_POP:
        return pop(&v, p);
    case OP_POP_MARK:
        return pop_mark(&items, &n, p);
    case OP_DUP:
        if (available(p) == 0)
            return PICKLE_FAIL(p, "stack underflow");
        push(p, p->stack[p->depth - 1]);
        return RS_OK;
    case OP_PROTO:
        return take(&b, p, 1);
    case OP_FRAME:
        return take(&b, p, 8);
    case OP_BINPUT:
        return memo_put(p, 1);
    case OP_LONG_BINPUT:
        return memo_put(p, 4);
    case OP_MEMOIZE:
        return memo_put(p, 0);
    case OP_BINGET:
        return memo_get(p, 1);
    case OP_LONG_BINGET:
        return memo_get(p, 4);
    default:
        return PICKLE_FAIL(p, "opcode 0x%02x is not supported", op);
    }
}

static rs_status do_scalar(pickle *p, uint8_t op)
{
    uint64_t w = 0;
    const uint8_t *b;
    switch (op) {
    case OP_NONE:
        return push_kind(p, RS_PV_NONE, 0);
    case OP_NEWTRUE:
        return push_kind(p, RS_PV_BOOL, 1);
    case OP_NEWFALSE:
        return push_kind(p, RS_PV_BOOL, 0);
    case OP_BININT:
        RS_TRY(take_word(&w, p, 4));
        return push_kind(p, RS_PV_INT, (int32_t)(uint32_t)w);
    case OP_BININT1:
        return push_uint(p, 1);
    case OP_BININT2:
        return push_uint(p, 2);
    case OP_LONG1:
        return push_long1(p);
    case OP_BINFLOAT:
        RS_TRY(take(&b, p, 8));
        return push_kind(p, RS_PV_FLOAT, 0);
    case OP_SHORT_BINUNICODE:
    case OP_SHORT_BINSTRING:
    case OP_SHORT_BINBYTES:
        return push_string(p, 1);
    case OP_BINUNICODE:
    case OP_BINSTRING:
    case OP_BINBYTES:
        return push_string(p, 4);
    case OP_BINUNICODE8:
        return push_string(p, 8);
    default:
        return do_stack(p, op);
    }
}

static rs_status do_object(pickle *p, uint8_t op)
{
    switch (op) {
    case OP_EMPTY_TUPLE:
        return push_sequence(p, RS_PV_TUPLE, NULL, 0);
    case OP_TUPLE1:
    case OP_TUPLE2:
    case OP_TUPLE3:
        return push_tuple(p, (size_t)(op - OP_TUPLE1) + 1);
    case OP_TUPLE:
        return push_marked(p, RS_PV_TUPLE);
    case OP_EMPTY_LIST:
        return push_sequence(p, RS_PV_LIST, NULL, 0);
    case OP_LIST:
        return push_marked(p, RS_PV_LIST);
    case OP_APPEND:
        return extend_popped(p, RS_PV_LIST, 1);
    case OP_APPENDS:
        return extend_marked(p, RS_PV_LIST);
    case OP_EMPTY_DICT:
        return push_sequence(p, RS_PV_DICT, NULL, 0);
    case OP_DICT:
        return push_marked(p, RS_PV_DICT);
    case OP_SETITEM:
        return extend_popped(p, RS_PV_DICT, 2);
    case OP_SETITEMS:
        return extend_marked(p, RS_PV_DICT);
    case OP_GLOBAL:
        return do_global(p, false);
    case OP_STACK_GLOBAL:
        return do_global(p, true);
    case OP_REDUCE:
    case OP_NEWOBJ: /* cls.__new__(cls, *args): the same for the classes that are allowed */
        return do_reduce(p);
    case OP_BUILD:
        return do_build(p);
    case OP_BINPERSID:
        return do_persistent(p);
    default:
        return do_scalar(p, op);
    }
}

rs_status rs_pickle_read(rs_pv **out, rs_arena *a, const uint8_t *data, size_t bytes,
                         const char *origin)
{
    pickle p = {.arena = a, .data = data, .bytes = bytes, .name = origin};
    if (bytes < 2 || data[0] != OP_PROTO || data[1] < 2 || data[1] > 5)
        return RS_FAIL(FORMAT, "%s: not a pickle of protocol 2 to 5", origin);
    for (;;) {
        const uint8_t *op = NULL;
        p.op_at = p.at;
        RS_TRY(take(&op, &p, 1));
        if (*op == OP_STOP)
            break;
        RS_TRY(do_object(&p, *op));
    }
    if (p.depth != 1 || p.n_marks != 0)
        return PICKLE_FAIL(&p, "%zu values at the end of the pickle instead of one", p.depth);
    *out = p.stack[0];
    return RS_OK;
}
