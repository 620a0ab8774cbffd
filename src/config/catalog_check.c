/* Rules that need more than the catalog itself: the configuration, and the files. */
#include "base/fsio.h"
#include "config/catalog.h"

int64_t rs_catalog_clip_frames(const rs_config *cfg, const rs_catalog_video *video)
{
    return video->frames ? video->frames : cfg->clip.frames;
}

void rs_catalog_check(rs_problems *problems, const rs_config *cfg, const rs_catalog *catalog)
{
    for (int64_t i = 0; i < catalog->n_videos; i++) {
        const rs_catalog_video *video = &catalog->videos[i];
        int64_t frames = rs_catalog_clip_frames(cfg, video);
        for (int64_t k = 0; k < video->n_edits; k++) {
            const rs_catalog_edit *edit = &video->edits[k];
            for (int64_t j = 0; j < edit->n_references; j++)
                if (edit->references[j].frame >= frames)
                    rs_problems_add_at(
                        problems, edit->references[j].where,
                        "video '%s', edit '%s': reference frame %lld, but the clip has "
                        "frames 0..%lld",
                        video->id, edit->id, (long long)edit->references[j].frame,
                        (long long)frames - 1);
        }
    }
}

static void check_path(rs_problems *problems, const rs_catalog_path *path, const char *video,
                       const char *what, bool folder_allowed)
{
    if (folder_allowed ? rs_path_exists(path->path) : rs_file_size(path->path) >= 0)
        return;
    const char *problem = "no such file or folder";
    if (!folder_allowed)
        problem = rs_path_is_dir(path->path) ? "is a folder, not an image" : "no such file";
    rs_problems_add_at(problems, path->where, "video '%s': %s: %s: %s", video, what, path->path,
                       problem);
}

void rs_catalog_check_files(rs_problems *problems, const rs_catalog *catalog)
{
    for (int64_t i = 0; i < catalog->n_videos; i++) {
        const rs_catalog_video *video = &catalog->videos[i];
        check_path(problems, &video->source, video->id, "source", true);
        if (video->n_boxes == 0)
            check_path(problems, &video->mask, video->id, "mask", true);
        for (int64_t k = 0; k < video->n_edits; k++) {
            const rs_catalog_edit *edit = &video->edits[k];
            check_path(problems, &edit->first_frame, video->id, "first_frame", false);
            if (edit->truth.path)
                check_path(problems, &edit->truth, video->id, "truth", true);
            for (int64_t j = 0; j < edit->n_references; j++)
                check_path(problems, &edit->references[j].image, video->id, "reference image",
                           false);
        }
    }
}
