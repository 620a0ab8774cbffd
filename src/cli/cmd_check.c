/* reshoot check: everything a run needs, looked at before it costs anything. */
#include "cli/cli.h"
#include "job/check.h"

typedef struct check_opts {
    rs_opt_list sets;
    const char *videos;
} check_opts;

static const rs_opt k_opts[] = {
    {"--set", RS_OPT_LIST, offsetof(check_opts, sets), "KEY=VALUE", "override a setting"},
    {"--videos", RS_OPT_STRING, offsetof(check_opts, videos), "GLOB", "only videos with such ids"},
};

typedef struct totals {
    int64_t videos, edits, references;
} totals;

/* Sizes are compared only where the settings they come from are sound. */
static void check_media(totals *t, rs_problems *problems, const rs_config *cfg,
                        const rs_catalog *catalog, const char *videos, bool sizes)
{
    for (int64_t i = 0; i < catalog->n_videos; i++) {
        const rs_catalog_video *v = &catalog->videos[i];
        if (!rs_check_chosen(videos, v))
            continue;
        rs_fit fit;
        bool fits = rs_check_video(problems, &fit, cfg, v) && sizes;
        t->videos++;
        for (int64_t k = 0; k < v->n_edits; k++) {
            (void)rs_check_edit(problems, v, &v->edits[k], fits ? &fit : NULL);
            t->edits++;
            t->references += v->edits[k].n_references;
        }
    }
    if (t->videos == 0)
        rs_problems_add_at(problems, catalog->file, "no video is called \"%s\"", videos);
}

static const char *plural(int64_t n)
{
    return n == 1 ? "" : "s";
}

static void print_arms(const rs_arms *arms)
{
    if (arms)
        rs_out("  arms     %lld, %lld claim%s\n", (long long)arms->n, (long long)arms->n_claims,
               plural(arms->n_claims));
}

static void print_summary(const char *file, const rs_config *cfg, const rs_check_model_info *m,
                          const totals *t)
{
    rs_out("%s: ok\n", file);
    rs_out("  model    %s, %lld blocks of width %lld, %.2f M parameters\n", m->family,
           (long long)m->blocks, (long long)m->dim, (double)m->params * 1e-6);
    rs_out("  clip     %lld frames of %lldx%lld\n", (long long)cfg->clip.frames,
           (long long)cfg->clip.width, (long long)cfg->clip.height);
    rs_out("  catalog  %lld video%s, %lld edit%s, %lld reference frame%s\n", (long long)t->videos,
           plural(t->videos), (long long)t->edits, plural(t->edits), (long long)t->references,
           plural(t->references));
}

static rs_status report(const char *file, rs_problems *problems)
{
    int64_t n = rs_problems_count(problems), kept = rs_problems_kept(problems);
    for (int64_t i = 0; i < kept; i++)
        rs_out("%s\n", rs_problems_text(problems, i));
    if (n > kept)
        rs_out("and %lld more\n", (long long)(n - kept));
    return RS_FAIL(CONFIG, "%s: %lld problem%s", file, (long long)n, plural(n));
}

static rs_status run(const rs_call *call)
{
    const check_opts *o = call->opts;
    const char *file = call->positional.items[0];
    rs_config *cfg;
    rs_catalog *catalog;
    rs_arms *arms;
    rs_check_model_info model = {0};
    totals t = {0};
    rs_problems *problems = rs_problems_create();
    rs_check_load(&cfg, &catalog, problems, file, o->sets.items, o->sets.n);
    bool sizes = rs_problems_count(problems) == 0;
    rs_check_arms(&arms, problems, cfg, catalog);
    if (*cfg->model.path) {
        int64_t before = rs_problems_count(problems);
        rs_check_model(problems, &model, cfg);
        if (rs_problems_count(problems) == before)
            rs_check_arm_models(problems, cfg, arms);
    }
    if (catalog)
        check_media(&t, problems, cfg, catalog, o->videos, sizes);
    rs_status st = RS_OK;
    if (rs_problems_count(problems)) {
        st = report(file, problems);
    } else {
        print_summary(file, cfg, &model, &t);
        print_arms(arms);
    }
    rs_problems_destroy(&problems);
    rs_catalog_destroy(&catalog);
    rs_arms_destroy(&arms);
    rs_config_destroy(&cfg);
    return st;
}

const rs_command rs_cmd_check = {
    .name = "check",
    .summary = "look for every problem of an experiment before it runs",
    .args = "EXP.yaml [options]",
    .about =
        "Checks settings, catalog, model directory and media of an experiment, changes nothing,\n"
        "and prints every problem on a line of its own: file:line:col: setting: message.\n"
        "Of a video one frame is decoded; of weights the headers are read.\n"
        "Exit code 0: the experiment can run. 2: there are problems.\n",
    .n_min = 1,
    .n_max = 1,
    RS_COMMAND_OPTS(k_opts, check_opts),
    .run = run,
};
