/* What a lane of ranks must give, whatever its width: run by thread ranks
 * (tests/model/test_lanes.c) and by MPI ranks (tests/dist/ranks.c). */
#ifndef RS_TESTS_LANES_H
#define RS_TESTS_LANES_H

#include "base/hash.h"
#include "comm/comm.h"
#include "model/model.h"

enum { T_LANE_TEXT = 12, T_LANE_ROWS = 7, T_LANE_IMAGE = 20, T_LANE_IMAGE_ROWS = 5 };

/* A denoiser at dir/transformer with inputs that are functions of their names. */
typedef struct t_lane_case {
    const char *dir;
    int64_t F, H, W;
    rs_kept kept;
    const char *const *targets; /* of the trained adapter; NULL: every linear of the model */
    int n_targets;
    rs_precision precision;
    bool frozen;    /* an adapter of another rank beneath it */
    int64_t train;  /* steps of training */
    int64_t sample; /* steps of sampling with guidance, with what was trained */
    bool halves;    /* guidance: both passes at the same time, on half of the ranks each */
} t_lane_case;

/* Hashes of all bits; equal on all ranks and for all widths. */
typedef struct t_lane_result {
    char velocity[RS_HASH_HEX];  /* of a forward pass */
    char step[RS_HASH_HEX];      /* loss and velocity of a training pass */
    char gradients[RS_HASH_HEX]; /* of every factor */
    char trained[RS_HASH_HEX];   /* factors, moments and losses after `train` steps */
    char sampled[RS_HASH_HEX];   /* latent after `sample` steps */
} t_lane_result;

/* 351 tokens (no multiple of anything, more than one tile of keys), some training and sampling. */
t_lane_case t_lane_case_small(const char *dir);
/* Collective over c, which is the lane; every rank opens a device of its own with one thread. */
rs_status t_lane_run(t_lane_result *r, rs_comm *c, const t_lane_case *k) RS_NODISCARD;

/* Parts of it, for tests of their own. */
typedef struct t_lane {
    rs_arena *arena;
    rs_device *d;
    rs_denoiser *m;
    rs_denoiser_cond *cond, *uncond;
    rs_adapter *adapter, *frozen;
    rs_tensor x, target, v;
} t_lane;

rs_status t_lane_open(t_lane *t, rs_comm *c, const t_lane_case *k) RS_NODISCARD;
void t_lane_close(t_lane *t);
rs_status t_lane_loss_grad(t_lane *t, float *loss) RS_NODISCARD;

typedef struct t_lane_speed {
    double step, forward; /* seconds, least of all */
    double work;          /* process time of a step on the busiest rank, least of all: what the
                             step would take on cores of its own, but for waiting */
    size_t bytes;         /* planned for this rank in training */
    float loss;
} t_lane_speed;

/* Collective: passes of training and of sampling, timed from barrier to barrier. */
rs_status t_lane_time(t_lane_speed *s, rs_comm *c, const t_lane_case *k, int repeats) RS_NODISCARD;

#endif
