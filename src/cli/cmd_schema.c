/* reshoot schema: the configuration reference, generated from src/config/schema.h. */
#include "cli/cli.h"
#include "config/config.h"

typedef struct schema_opts {
    bool yaml, md;
} schema_opts;

static const rs_opt k_opts[] = {
    {"--yaml", RS_OPT_FLAG, offsetof(schema_opts, yaml), NULL,
     "a commented YAML file with every default"},
    {"--md", RS_OPT_FLAG, offsetof(schema_opts, md), NULL, "Markdown tables"},
};

static rs_status run(const rs_call *call)
{
    const schema_opts *o = call->opts;
    if (o->yaml == o->md)
        return RS_FAIL(USAGE, "schema: give one of --yaml and --md");
    rs_out("%s", o->yaml ? rs_config_schema_yaml(call->arena) : rs_config_schema_md(call->arena));
    return RS_OK;
}

const rs_command rs_cmd_schema = {
    .name = "schema",
    .summary = "print every setting with its default, range and meaning",
    .args = "--yaml|--md",
    .about =
        "Prints the reference of experiment files. The YAML form is a valid starting point for\n"
        "an experiment of your own.\n",
    RS_COMMAND_OPTS(k_opts, schema_opts),
    .run = run,
};
