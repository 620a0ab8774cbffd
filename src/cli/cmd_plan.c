/* reshoot plan: what a run needs in memory and time, before it starts. */
#include <math.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/plan.h"

typedef struct plan_opts {
    rs_opt_list sets;
    bool simulate, json;
    const char *costs, *device;
    int64_t ranks, copies, per_node, per_world, seed;
    double mtbf_h, restart, latency;
} plan_opts;

static const plan_opts k_defaults = {
    .ranks = 1, .per_node = 1, .seed = 0, .restart = 300, .latency = 0.001};

static const rs_opt k_opts[] = {
    {"--set", RS_OPT_LIST, offsetof(plan_opts, sets), "KEY=VALUE", "override a setting"},
    {"--costs", RS_OPT_STRING, offsetof(plan_opts, costs), "PATH",
     "measured seconds: a JSON file, or the folder of a finished run"},
    {"--device", RS_OPT_STRING, offsetof(plan_opts, device), "NAME",
     "plan for h100, h200 or rtx4090, in 16 bits; else for this machine"},
    {"--ranks", RS_OPT_INT, offsetof(plan_opts, ranks), "N", "processes that work side by side: 1"},
    {"--copies", RS_OPT_INT, offsetof(plan_opts, copies), "K",
     "repeat the catalog to K videos; 0: as it is"},
    {"--simulate", RS_OPT_FLAG, offsetof(plan_opts, simulate), NULL,
     "simulate the run, task by task"},
    {"--seed", RS_OPT_INT, offsetof(plan_opts, seed), "N", "of the simulation: 0"},
    {"--latency", RS_OPT_FLOAT, offsetof(plan_opts, latency), "S",
     "from a rank to the director, one way: 0.001 s"},
    {"--mtbf", RS_OPT_FLOAT, offsetof(plan_opts, mtbf_h), "HOURS",
     "mean time between failures of a node; 0: none"},
    {"--ranks-per-node", RS_OPT_INT, offsetof(plan_opts, per_node), "R",
     "ranks of a node, which share its memory: 1"},
    {"--ranks-per-world", RS_OPT_INT, offsetof(plan_opts, per_world), "W",
     "ranks that stop when one is lost; 0: those of its node"},
    {"--restart", RS_OPT_FLOAT, offsetof(plan_opts, restart), "S",
     "until ranks that stopped work again: 300 s"},
    {"--json", RS_OPT_FLAG, offsetof(plan_opts, json), NULL, "machine-readable"},
};

/* A gang asks so many seconds before its task ends: about a step. */
static const double AHEAD = 1;

static rs_status in_range(const char *option, int64_t v, int64_t lo, int64_t hi)
{
    if (v < lo || v > hi)
        return RS_FAIL(USAGE, "%s must be %lld..%lld, got %lld", option, (long long)lo,
                       (long long)hi, (long long)v);
    return RS_OK;
}

static rs_status above_zero(const char *option, double v, double hi)
{
    if (!(v >= 0 && v <= hi))
        return RS_FAIL(USAGE, "%s must be 0..%g, got %g", option, hi, v);
    return RS_OK;
}

static rs_status check(const plan_opts *o)
{
    RS_TRY(in_range("--ranks", o->ranks, 1, 1000000));
    RS_TRY(in_range("--copies", o->copies, 0, 10000000));
    RS_TRY(in_range("--seed", o->seed, 0, INT64_MAX));
    RS_TRY(in_range("--ranks-per-node", o->per_node, 1, 1000000));
    RS_TRY(in_range("--ranks-per-world", o->per_world, 0, 1000000));
    RS_TRY(above_zero("--latency", o->latency, 3600));
    RS_TRY(above_zero("--mtbf", o->mtbf_h, 1e9));
    RS_TRY(above_zero("--restart", o->restart, 1e7));
    if (!o->simulate && (o->mtbf_h > 0 || o->per_world > 0))
        return RS_FAIL(USAGE, "%s is of the simulation: give --simulate too",
                       o->mtbf_h > 0 ? "--mtbf" : "--ranks-per-world");
    return RS_OK;
}

static rs_status simulate(rs_plan_report *r, rs_sim_opts *s, const plan_opts *o)
{
    s->seed = (uint64_t)o->seed;
    s->latency = o->latency;
    s->ahead = AHEAD;
    s->mtbf = o->mtbf_h * 3600;
    s->per_world = o->per_world * s->work.n_gangs / o->ranks; /* lanes */
    s->restart = o->restart;
    s->work.granularity = RS_GRANULARITY_CHAIN;
    RS_TRY(rs_sim_run(&r->chains, s));
    s->work.granularity = RS_GRANULARITY_STAGE;
    RS_TRY(rs_sim_run(&r->stages, s));
    r->sim = s;
    return RS_OK;
}

/* The bounds of the means, and the simulation if it is wanted. */
static rs_status predict(rs_plan_report *r, rs_sim_opts *s, const plan_opts *o)
{
    if (!r->plan->costs_known && !o->simulate)
        return RS_OK;
    RS_TRY(rs_plan_sim_opts(s, r->plan, o->ranks));
    rs_sim_opts means = *s;
    memset(means.cv, 0, sizeof means.cv);
    rs_sim_bounds(&r->expected, &means);
    return o->simulate ? simulate(r, s, o) : RS_OK;
}

static rs_status run(const rs_call *call)
{
    const plan_opts *o = call->opts;
    rs_plan plan;
    rs_sim_opts sim;
    rs_plan_opts given = {.config = call->positional.items[0],
                          .sets = o->sets.items,
                          .n_sets = o->sets.n,
                          .costs = o->costs,
                          .device = o->device,
                          .ranks = o->ranks,
                          .per_node = o->per_node,
                          .copies = o->copies};
    rs_plan_report r = {.file = given.config, .plan = &plan, .ranks = o->ranks};
    RS_TRY(check(o));
    rs_status st = rs_plan_init(&plan, &given);
    if (st == RS_OK)
        st = predict(&r, &sim, o);
    if (st == RS_OK && o->json) {
        rs_jsonw *w = rs_jsonw_create(call->arena, true);
        rs_plan_json(w, &r);
        rs_out("%s\n", rs_jsonw_text(w));
    } else if (st == RS_OK) {
        rs_plan_text(&r, call->arena);
    }
    rs_plan_fini(&plan);
    return st;
}

const rs_command rs_cmd_plan = {
    .name = "plan",
    .summary = "memory and time that a run will need; simulates it on any number of ranks",
    .args = "EXP.yaml [options]",
    .about =
        "Bytes of one rank by purpose, the home of the weights, what blocks keep for the\n"
        "backward, and hours: from sizes and rates (measured here in a moment, or those of\n"
        "--device), or from measured seconds of the stages (--costs). A model directory with "
        "nothing\n"
        "but its JSON files is enough. With --simulate the code that schedules a run is run under "
        "a\n"
        "clock of its own: makespan against\n"
        "its lower bound max(work / ranks, longest video), the part of the time that ranks work,\n"
        "over all and until the last video began (the tail), and what an even static split of the\n"
        "catalog would take. No GPU, no MPI and no media are needed.\n\n"
        "--costs reads a run's archives, or JSON with seconds and their spread (cv: standard\n"
        "deviation / mean; 0 where left out). publish may be left out and counts as 0 then:\n"
        "  {\"stages\": {\"ingest\": {\"mean\": 60, \"cv\": 0.2}, \"motion\": {\"mean\": 800},\n"
        "              \"appearance\": {\"mean\": 300}, \"edit\": {\"mean\": 240},\n"
        "              \"decode\": {\"mean\": 30}, \"publish\": {\"mean\": 10}}}\n"
        "See docs/plan.md.\n",
    .n_min = 1,
    .n_max = 1,
    RS_COMMAND_OPTS(k_opts, plan_opts),
    .defaults = &k_defaults,
    .run = run,
};
