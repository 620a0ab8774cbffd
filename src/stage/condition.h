/* What the model sees of a clip (LoRA-Edit, arXiv 2506.10082; loraedit.md 1.6, 1.7, 2.3, 2.4).
 *
 * Frames are U8 (T,H,W,3) RGB; masks U8 (T,H,W), 255 = edit, 0 = keep. In the model's mask channels
 * 1 means keep. Pixel value p maps to p/255*2 - 1. */
#ifndef RS_STAGE_CONDITION_H
#define RS_STAGE_CONDITION_H

#include "base/tensor.h"
#include "config/config.h"

/* video (3,T,H,W) fp32 in [-1,1] from frames. */
void rs_video_from_frames(rs_tensor video, rs_tensor frames);
/* frames U8 (T,H,W,3) from video: trunc(clip((x+1)*127.5, 0, 255)) (loraedit.md 5.7). */
void rs_frames_from_video(rs_tensor frames, rs_tensor video);
/* Condition frames: as frames, with pixels where mask > 200 painted (fill,fill,fill); frame 0 stays
 * whole when keep_first. out may be frames. */
void rs_paint_condition(rs_tensor out, rs_tensor frames, rs_tensor mask, int fill, bool keep_first);
/* Mask channels m (4,F',H/8,W/8) fp32: 1 keep, 0 generate. Spatially the top-left pixel of every
 * cell decides (nearest, scale_s x scale_s cells); in time M[c][0] = m_0 and M[c][j] =
 * m_{4(j-1)+1+c}. keep_first: frame 0 counts as all keep. T = 4(F'-1)+1. */
void rs_mask_condition(rs_tensor m, rs_tensor mask, int64_t scale_s, bool keep_first);
/* The mask under which a clip is given to the model, same shape as its edit mask (out may be
 * mask): masked as it is, keep-all 0, first-frame and keep-none 255 everywhere. */
void rs_given_mask(rs_tensor out, rs_tensor mask, rs_cfg_given given);
/* Does frame 0 stay whole and count as kept? Not with keep-none. */
bool rs_given_first(rs_cfg_given given);
/* y (4+z,F',h,w) = mask channels then condition latent (z,F',h,w). */
void rs_condition_concat(rs_tensor y, rs_tensor m, rs_tensor latent);
/* Which latent cells hold nothing that is edited: keep (F',h,w) fp32 is 1 where all four mask
 * channels of rs_mask_condition are 1, without a given first frame: every frame that the latent
 * frame stands for keeps the cell. */
void rs_keep_cells(rs_tensor keep, rs_tensor mask, int64_t scale_s);
/* Latent blending: x = x (1-M) + ((1-sigma) x0 + sigma noise) M with M = keep (F',h,w), in place;
 * x, x0, noise (z,F',h,w) (Blended Diffusion, Avrahami et al., CVPR 2022; loraedit.md 7). Cells
 * outside M keep their bits; at sigma 0 cells inside have the values of x0. */
void rs_blend_source(rs_tensor x, rs_tensor keep, rs_tensor x0, rs_tensor noise, float sigma);
/* Feathered paste-back: frames = w*frames + (1-w)*source, w = 1 inside the mask and falls linearly
 * to 0 over `feather` pixels (chessboard distance) outside it; feather 0: hard edge. In place on
 * frames. */
void rs_paste_back(rs_tensor frames, rs_tensor source, rs_tensor mask, int64_t feather);

#endif
