#include "job/contact.h"

#include <string.h>

#include "media/sheet.h"
#include "stage/common.h"

enum { COLUMNS = 7, TILE_WIDTH = 208 };

/* The condition video as the model saw it for an edit (or for training, without an edited frame).
 */
static rs_tensor condition_frames(rs_arena *a, const rs_run *run, const rs_ingest *s,
                                  rs_tensor first)
{
    rs_tensor frames = s->frames;
    rs_cfg_given given = rs_has(first) ? run->cfg->edit.condition : run->cfg->motion.condition;
    if (rs_has(first)) {
        frames.data = rs_arena_memdup(a, s->frames.data, rs_tensor_bytes(frames));
        memcpy(frames.data, first.data, rs_tensor_bytes(first));
    }
    return rs_stage_condition_frames(a, run->cfg, frames, s->mask, given);
}

rs_status rs_contact_write(const char *path, rs_arena *a, const rs_run *run, const rs_job *video,
                           const rs_contact_edit *edits, int64_t n)
{
    const rs_ingest *s = &video->source;
    rs_sheet *sheet = rs_sheet_create(a, COLUMNS, TILE_WIDTH);
    rs_sheet_text(sheet, rs_arena_printf(a, "%s / %s", run->cfg->name, video->video->id));
    rs_sheet_strip(sheet, "source", s->frames, s->index);
    rs_sheet_strip(sheet, "mask (white = edit)", s->mask, s->index);
    if (run->cfg->motion.steps > 0)
        rs_sheet_strip(sheet, "condition of the motion stage",
                       condition_frames(a, run, s, (rs_tensor){0}), s->index);
    for (int64_t i = 0; i < n; i++) {
        const rs_contact_edit *e = &edits[i];
        if (!rs_has(e->frames)) {
            rs_sheet_text(sheet, rs_arena_printf(a, "%s: failed: %s", e->id, e->reason));
            continue;
        }
        rs_sheet_strip(sheet, rs_arena_printf(a, "%s: condition", e->id),
                       condition_frames(a, run, s, e->first), s->index);
        rs_sheet_strip(sheet, rs_arena_printf(a, "%s: edited", e->id), e->frames, s->index);
    }
    return rs_sheet_write(path, sheet);
}
