/* Experiment configuration: YAML text and `--set` overrides to one struct, generated from schema.h.
 *
 *   rs_config *cfg;
 *   RS_TRY(rs_config_load(&cfg, "exp.yaml", sets, n));   sets[i] = "motion.steps=20"
 *   ... cfg->motion.steps, cfg->lora.targets.items[i], cfg->edit.sampler == RS_CFG_SAMPLER_EULER
 * ... rs_config_destroy(&cfg);
 *
 * YAML accepted: UTF-8, one document, no tags, no merge keys; numbers and true/false plain, not
 * quoted; a section with nothing under it means its defaults. Everything is checked and all
 * problems are collected in one pass: unknown and duplicate keys, types, ranges, words, required
 * settings, then rules across settings.
 *
 * Paths: a relative `catalog`, `catalog_root` or `model.path` in a YAML file starts from that
 * file's folder; `output`, and every path given with --set, from the current directory. */
#ifndef RS_CONFIG_CONFIG_H
#define RS_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "config/problem.h"
#include "config/schema.h"

typedef struct rs_cfg_strings {
    const char *const *items;
    int64_t n;
} rs_cfg_strings;

/* enum rs_cfg_sampler { RS_CFG_SAMPLER_EULER, ... } and its words, rs_cfg_sampler_text(v). */
#define RS_CFG_CONSTANT_(name, word, doc) RS_CFG_##name,
#define RS_CFG_ENUM_TYPE_(list)                                                                    \
    typedef enum rs_cfg_##list{RS_CFG_ENUM_##list(RS_CFG_CONSTANT_)} rs_cfg_##list;                \
    const char *rs_cfg_##list##_text(rs_cfg_##list v);
RS_CFG_ENUMS(RS_CFG_ENUM_TYPE_)
#undef RS_CFG_ENUM_TYPE_
#undef RS_CFG_CONSTANT_

#define RS_CFG_TYPE_INT_(c)  int64_t
#define RS_CFG_TYPE_NUM_(c)  double
#define RS_CFG_TYPE_BOOL_(c) bool
#define RS_CFG_TYPE_TEXT_(c) const char *
#define RS_CFG_TYPE_PATH_(c) const char *
#define RS_CFG_TYPE_ENUM_(c) rs_cfg_##c
#define RS_CFG_TYPE_LIST_(c) rs_cfg_strings

#define RS_CFG_FIELD_(section, kind, key, def, unit, doc, c) RS_CFG_TYPE_##kind##_(c) key;
#define RS_CFG_STRUCT_(key, doc)                                                                   \
    typedef struct rs_cfg_##key##_section {                                                        \
        RS_CFG_ROWS_##key(RS_CFG_FIELD_)                                                           \
    } rs_cfg_##key##_section;
#define RS_CFG_MEMBER_(key, doc) rs_cfg_##key##_section key;

RS_CFG_SECTIONS(RS_CFG_STRUCT_)

struct rs_cfg_origin;

/* Read-only after loading. Strings live as long as the config; "" where a text or path is not
 * given. */
typedef struct rs_config {
    const char *file;                   /* where it was loaded from */
    rs_arena *arena;                    /* owns all strings */
    const struct rs_cfg_origin *origin; /* private to src/config: for config/arms.h */
    RS_CFG_ROWS_top(RS_CFG_FIELD_) RS_CFG_SECTIONS(RS_CFG_MEMBER_)
} rs_config;

#undef RS_CFG_MEMBER_
#undef RS_CFG_STRUCT_
#undef RS_CFG_FIELD_

/* Load and check. RS_CONFIG: the first problem, "(+N more)"; *out is NULL then. */
rs_status rs_config_load(rs_config **out, const char *path, const char *const *sets,
                         int64_t n) RS_NODISCARD;
/* The same, with every problem in `problems` (not NULL; earlier problems count as failures). *out
 * is never NULL: settings that could not be read keep their defaults, so that more can be checked.
 */
rs_status rs_config_load_all(rs_config **out, rs_problems *problems, const char *path,
                             const char *const *sets, int64_t n) RS_NODISCARD;
/* From memory, *out NULL after a failure: `name` is shown in messages, relative paths start from
 * `folder` ("" = current directory). */
rs_status rs_config_load_text(rs_config **out, rs_problems *problems, const char *name,
                              const char *folder, const char *text, size_t bytes,
                              const char *const *sets, int64_t n) RS_NODISCARD;
/* All defaults, required settings "": for tests and tools. */
rs_config *rs_config_defaults(void);
void rs_config_destroy(rs_config **cfg); /* accepts NULL, nulls the pointer */

/* Canonical effective configuration as YAML: every setting, schema order, absolute paths. Loading
 * it gives the same configuration (arena-owned). */
char *rs_config_dump(rs_arena *a, const rs_config *cfg);
/* Hash names and values of one section ("motion"), one setting ("clip.frames", "seed") or
 * everything (""). Two configs get equal hashes exactly when these settings are equal. Paths are
 * hashed as text: leave them out of content keys and hash what they point at. Asserts that the path
 * exists. */
void rs_config_hash_section(rs_hash *h, const rs_config *cfg, const char *path);

/* Generated references: a commented YAML file with every default, and Markdown tables
 * (arena-owned). */
char *rs_config_schema_yaml(rs_arena *a);
char *rs_config_schema_md(rs_arena *a);

#endif
