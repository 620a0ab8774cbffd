#include <math.h>

#include "cli/show.h"

static void write_files(rs_jsonw *w, const char *key, const rs_show_files *files)
{
    rs_jsonw_array(w, key);
    for (int64_t i = 0; i < files->n; i++) {
        rs_jsonw_object(w, NULL);
        rs_jsonw_string(w, "role", files->items[i].role);
        rs_jsonw_string(w, "path", files->items[i].path);
        rs_jsonw_i64(w, "bytes", files->items[i].bytes);
        rs_jsonw_string(w, "hash", files->items[i].hash);
        rs_jsonw_end(w);
    }
    rs_jsonw_end(w);
}

static void write_provenance(rs_jsonw *w, const rs_show_video *v)
{
    rs_jsonw_object(w, "provenance");
    rs_jsonw_string(w, "program", v->program);
    rs_jsonw_string(w, "host", v->host);
    rs_jsonw_string(w, "created", v->created);
    rs_jsonw_string(w, "fingerprint", v->fingerprint);
    rs_jsonw_i64(w, "seed", v->seed);
    rs_jsonw_string(w, "config", v->config);
    write_files(w, "inputs", &v->inputs);
    write_files(w, "weights", &v->weights);
    rs_jsonw_end(w);
}

static void write_tensors(rs_jsonw *w, const rs_show_video *v)
{
    rs_jsonw_object(w, "tensors");
    for (int64_t i = 0; i < v->n_tensors; i++) {
        rs_tensor t = v->tensors[i].t;
        rs_jsonw_object(w, v->tensors[i].name);
        rs_jsonw_string(w, "type", rs_dtype_name(t.dtype));
        rs_jsonw_array(w, "shape");
        for (int k = 0; k < t.ndim; k++)
            rs_jsonw_i64(w, NULL, t.shape[k]);
        rs_jsonw_end(w);
        rs_jsonw_end(w);
    }
    rs_jsonw_end(w);
}

static void write_stage(rs_jsonw *w, const rs_show_stage *s)
{
    rs_jsonw_object(w, s->name);
    rs_jsonw_string(w, "state", s->state);
    rs_jsonw_string(w, "key", s->key);
    if (s->steps >= 0)
        rs_jsonw_i64(w, "steps", s->steps);
    if (!isnan(s->seconds))
        rs_jsonw_f64(w, "seconds", s->seconds);
    if (s->n_loss) {
        rs_jsonw_array(w, "loss");
        for (int64_t i = 0; i < s->n_loss; i++)
            rs_jsonw_f64(w, NULL, (double)s->loss[i]);
        rs_jsonw_end(w);
    }
    if (s->modules) {
        rs_jsonw_object(w, "adapter");
        rs_jsonw_i64(w, "modules", s->modules);
        rs_jsonw_i64(w, "rank", s->rank);
        rs_jsonw_f64(w, "alpha", s->alpha);
        if (s->mode)
            rs_jsonw_string(w, "mode", s->mode);
        rs_jsonw_i64(w, "parameters", s->params);
        rs_jsonw_end(w);
    }
    rs_jsonw_end(w);
}

static void write_edit(rs_jsonw *w, const rs_show_edit *e)
{
    rs_jsonw_object(w, e->id);
    rs_jsonw_string(w, "state", e->state);
    rs_jsonw_string(w, "prompt", e->prompt);
    if (*e->reason) {
        rs_jsonw_string(w, "stage", e->stage);
        rs_jsonw_string(w, "reason", e->reason);
    }
    if (*e->key)
        rs_jsonw_string(w, "key", e->key);
    if (e->seed >= 0)
        rs_jsonw_i64(w, "seed", e->seed);
    rs_jsonw_object(w, "metrics");
    for (int64_t i = 0; i < e->n_metrics; i++)
        if (isinf(e->metrics[i].value)) /* as in measures.json */
            rs_jsonw_string(w, e->metrics[i].name, e->metrics[i].value > 0 ? "inf" : "-inf");
        else
            rs_jsonw_f64(w, e->metrics[i].name, e->metrics[i].value);
    rs_jsonw_end(w);
    rs_jsonw_end(w);
}

void rs_show_json(rs_jsonw *w, const rs_show_video *v)
{
    rs_jsonw_object(w, NULL);
    rs_jsonw_string(w, "kind", "video");
    rs_jsonw_string(w, "path", v->path);
    rs_jsonw_i64(w, "bytes", v->bytes);
    rs_jsonw_string(w, "video", v->video);
    rs_jsonw_string(w, "key", v->key);
    rs_jsonw_string(w, "prompt", v->prompt);
    rs_jsonw_f64(w, "fps", v->fps);
    write_provenance(w, v);
    write_tensors(w, v);
    rs_jsonw_object(w, "stages");
    for (int64_t i = 0; i < v->n_stages; i++)
        write_stage(w, &v->stages[i]);
    rs_jsonw_end(w);
    rs_jsonw_object(w, "edits");
    for (int64_t i = 0; i < v->n_edits; i++)
        write_edit(w, &v->edits[i]);
    rs_jsonw_end(w);
    rs_jsonw_end(w);
}
