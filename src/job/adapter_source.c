#include "job/adapter_source.h"

#include <string.h>

#include "base/str.h"
#include "store/safetensors.h"
#include "store/schema_names.h"

static const char k_motion[] = "motion", k_appearance[] = "appearance";

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

rs_status rs_adapter_spec_parse(rs_adapter_spec *out, rs_arena *a, const char *text)
{
    *out = (rs_adapter_spec){.text = text, .weight = 1.0};
    const char *equals = strrchr(text, '=');
    if (equals && !rs_parse_f64(&out->weight, equals + 1))
        return RS_FAIL(USAGE, "--adapter %s: the weight \"%s\" is not a number", text, equals + 1);
    char *path = rs_arena_strndup(a, text, equals ? (size_t)(equals - text) : strlen(text));
    out->path = path;
    if (ends_with(path, ".safetensors"))
        return RS_OK;
    char *colon = strrchr(path, ':');
    if (!colon || colon == path || !colon[1])
        return RS_FAIL(USAGE,
                       "--adapter %s: expected ARCHIVE.h5:motion, ARCHIVE.h5:appearance/EDIT or "
                       "X.safetensors, each with =WEIGHT or without",
                       text);
    *colon = '\0';
    out->place = colon + 1;
    return RS_OK;
}

/* ---- archives ---- */

static char *adapter_group(rs_arena *a, const char *stage, const char *edit)
{
    return rs_arena_printf(a, RS_GROUP_STAGES "/%s%s%s/" RS_MEMBER_ADAPTER, stage, edit ? "/" : "",
                           edit ? edit : "");
}

/* "motion, appearance/red": what there is, for the message. */
static const char *known_adapters(rs_arena *a, const rs_archive *f)
{
    const char *known = rs_archive_exists(f, adapter_group(a, k_motion, NULL)) ? k_motion : "";
    const char *group = rs_arena_printf(a, RS_GROUP_STAGES "/%s", k_appearance);
    char **edits;
    int64_t n = 0;
    if (rs_archive_exists(f, group) && rs_archive_list(&edits, &n, a, f, group) != RS_OK)
        n = 0;
    for (int64_t i = 0; i < n; i++)
        known = rs_arena_printf(a, "%s%s%s/%s", known, *known ? ", " : "", k_appearance, edits[i]);
    return *known ? known : "none";
}

static rs_status find_group(const char **out, rs_arena *a, const rs_archive *f, const char *place)
{
    size_t n = sizeof k_appearance - 1;
    const char *edit =
        strncmp(place, k_appearance, n) == 0 && place[n] == '/' ? place + n + 1 : place;
    *out = strcmp(place, k_motion) == 0 ? adapter_group(a, k_motion, NULL)
                                        : adapter_group(a, k_appearance, edit);
    if (*edit && rs_archive_kind_of(f, *out) == RS_ARCHIVE_GROUP)
        return RS_OK;
    return RS_FAIL(INPUT, "%s: there is no adapter \"%s\"; there are: %s", rs_archive_path(f),
                   place, known_adapters(a, f));
}

static rs_status read_factors(rs_tensor_list *out, rs_arena *a, const rs_archive *f,
                              const char *group)
{
    static const char *const k_factors[] = {RS_DATA_A, RS_DATA_B};
    char **modules;
    int64_t n;
    RS_TRY(rs_archive_list(&modules, &n, a, f, group));
    for (int64_t i = 0; i < n; i++) {
        for (int k = 0; k < 2; k++) {
            rs_tensor t;
            RS_TRY(rs_archive_read_tensor(
                &t, a, f, rs_arena_printf(a, "%s/%s/%s", group, modules[i], k_factors[k])));
            rs_tensor_list_add(
                out, a, rs_arena_printf(a, "%s.lora_%s.weight", modules[i], k_factors[k]), t);
        }
    }
    return RS_OK;
}

static rs_status read_archive(rs_adapter **out, rs_arena *a, rs_denoiser *m, const rs_archive *f,
                              const char *place)
{
    rs_tensor_list factors = {0};
    double alpha;
    const char *group;
    RS_TRY(find_group(&group, a, f, place));
    RS_TRY(read_factors(&factors, a, f, group));
    RS_TRY(rs_archive_get_f64(&alpha, f, group, RS_ATTR_ALPHA));
    rs_status st = rs_adapter_create_from(out, m, &factors, (float)alpha, false);
    if (st != RS_OK)
        rs_error_context("%s:%s", rs_archive_path(f), place);
    return st;
}

rs_status rs_adapter_of_archive(rs_adapter **out, rs_denoiser *m, const rs_archive *f,
                                const char *place)
{
    rs_arena *a = rs_arena_create();
    rs_status st = read_archive(out, a, m, f, place);
    rs_arena_destroy(&a);
    return st;
}

/* ---- files ---- */

static rs_status read_file(rs_adapter **out, rs_denoiser *m, const char *path)
{
    rs_safetensors *f = NULL;
    rs_tensor_list factors = {0};
    RS_TRY(rs_safetensors_open(&f, path));
    rs_arena *a = rs_arena_create();
    for (int64_t i = 0; i < rs_safetensors_count(f); i++)
        rs_tensor_list_add(&factors, a, rs_safetensors_name(f, i), *rs_safetensors_at(f, i));
    rs_status st = rs_adapter_create_from(out, m, &factors, 0, false);
    if (st != RS_OK)
        rs_error_context("%s", path);
    rs_arena_destroy(&a);
    rs_safetensors_close(&f);
    return st;
}

rs_status rs_adapter_spec_load(rs_adapter **out, rs_denoiser *m, const rs_adapter_spec *spec)
{
    rs_archive *f = NULL;
    if (!spec->place)
        return read_file(out, m, spec->path);
    RS_TRY(rs_archive_open(&f, spec->path));
    rs_status st = rs_adapter_of_archive(out, m, f, spec->place);
    rs_archive_close(&f);
    return st;
}
