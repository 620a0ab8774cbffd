/* `reshoot plan`: what cmd_plan.c found out, printed by plan_text.c and plan_json.c. */
#ifndef RS_CLI_PLAN_H
#define RS_CLI_PLAN_H

#include "job/plan.h"
#include "store/json_writer.h"

typedef struct rs_plan_report {
    const char *file; /* experiment */
    const rs_plan *plan;
    int64_t ranks;
    rs_sim_result expected;       /* bounds with the means; only where plan->costs_known */
    const rs_sim_opts *sim;       /* NULL: not simulated */
    rs_sim_result stages, chains; /* tasks are stages, whole videos */
} rs_plan_report;

void rs_plan_text(const rs_plan_report *r, rs_arena *a);
void rs_plan_json(rs_jsonw *w, const rs_plan_report *r);

#endif
