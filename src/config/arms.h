/* Arms: named variations of one experiment that are run on the same catalog and compared, and
 * claims: what is expected of the comparison.
 *
 *   arms:
 *     - name: no-adapter             # letters, digits and . _ - ; unique
 *       note: the base model as it is              # optional, shown beside the table
 *       set: {motion.steps: 0}       # settings by their full names, as for --set; {}: the file's
 *     - name: motion
 *   claims:                          # optional
 *     - name: motion-helps
 *       says: a motion adapter follows the source better than none
 *       measure: motion_error        # of the list of measures
 *       better: motion               # the arm that should be better, in the measure's direction
 *       than: no-adapter
 *       margin: 0.5                  # optional: by more than this, in the measure's unit
 *     - name: short-is-enough
 *       says: ...
 *       measure: psnr_inside
 *       no_worse: short              # instead of `better`: not worse by `margin` (required)
 *       than: motion
 *       margin: 0.25
 *
 * An arm's settings are those of the file, then --set, then its own. What belongs to the run as a
 * whole cannot differ: name, output, catalog, catalog_root, model.precision, model.fp8, cluster,
 * log. Names of files start from the experiment's folder. */
#ifndef RS_CONFIG_ARMS_H
#define RS_CONFIG_ARMS_H

#include "config/config.h"

typedef struct rs_arm {
    const char *name;
    const char *note; /* "" where not given */
    const char *set;  /* its own settings as text: "motion.steps=0 mask.shape=exact" */
    const char *where;
    rs_config *cfg; /* effective; its name is "<experiment>/<arm>" */
} rs_arm;

typedef struct rs_claim {
    const char *name, *says, *where;
    int64_t measure;   /* index into the names given to rs_arms_load */
    int64_t arm, than; /* indices of arms */
    bool no_worse;     /* else: better */
    double margin;     /* in the measure's unit, at least 0 */
} rs_claim;

typedef struct rs_arms {
    rs_arena *arena;
    rs_arm *items;
    int64_t n;
    rs_claim *claims;
    int64_t n_claims;
} rs_arms;

/* Arms and claims of an experiment, with every problem in `problems`. `measures`: names that a
 * claim may use. *out is NULL where the file has neither, or after RS_CONFIG. `base` has to live
 * longer. */
rs_status rs_arms_load(rs_arms **out, rs_problems *problems, const rs_config *base,
                       const char *const *measures, int64_t n_measures) RS_NODISCARD;
void rs_arms_destroy(rs_arms **arms); /* accepts NULL, nulls the pointer */

#endif
