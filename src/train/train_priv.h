/* Private to src/train: the parts of a step. */
#ifndef RS_TRAIN_TRAIN_PRIV_H
#define RS_TRAIN_TRAIN_PRIV_H

#include "train/train.h"

/* The noisy latent and what the model shall say of it: sample->x, target and t. Freed by
 * rs_train_sample_free. */
void rs_train_sample_make(rs_denoiser_sample *sample, const rs_train_item *item, rs_tensor noise,
                          float sigma);
void rs_train_sample_free(rs_denoiser_sample *sample);
/* After a pass: the optimiser's step. RS_NUMERIC if the loss is not finite. Local. */
rs_status rs_train_finish(rs_adapter *a, const rs_optim_opts *o, int64_t step, float loss,
                          double *grad_norm) RS_NODISCARD;
/* Collective over the model's lane, if it has one. */
rs_status rs_train_agree(const rs_denoiser *m, rs_status mine) RS_NODISCARD;

#endif
