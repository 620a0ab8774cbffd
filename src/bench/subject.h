/* A denoiser that is ready for steps, with inputs by rule: what `bench step` and `bench stream`
 * time. */
#ifndef RS_BENCH_SUBJECT_H
#define RS_BENCH_SUBJECT_H

#include "model/model.h"

typedef struct rs_subject_opts {
    const char *model; /* directory */
    rs_denoiser_opts denoiser;
    int64_t grid[3];   /* tokens along frames, height and width */
    int64_t rank;      /* of the adapter on the default targets; 0: none (then not for training) */
    int64_t text_rows; /* true rows of the prompt */
    bool training;
    bool fit; /* training stores as many blocks as the device has room for, not denoiser.kept */
} rs_subject_opts;

typedef struct rs_subject {
    rs_denoiser *m;
    rs_adapter *a;
    rs_denoiser_cond *cond;
    rs_tensor x, target, v; /* (C,F,H,W) in the arena */
} rs_subject;

/* Tokens of at least so many, as four frames (or one) of equal sides. */
void rs_subject_grid(int64_t grid[3], int64_t tokens);
/* Opens the model, sets a fresh adapter, binds. Collective where the options' home is. After an
 * error the subject is to be closed too. */
rs_status rs_subject_open(rs_subject *s, rs_arena *a, rs_device *d,
                          const rs_subject_opts *o) RS_NODISCARD;
void rs_subject_close(rs_subject *s);
/* Loss and gradients, or a forward into v. */
rs_status rs_subject_train(rs_subject *s, float *loss) RS_NODISCARD;
rs_status rs_subject_sample(rs_subject *s) RS_NODISCARD;
/* The same bits in all gradients. */
bool rs_subject_same_gradients(const rs_subject *x, const rs_subject *y);

#endif
