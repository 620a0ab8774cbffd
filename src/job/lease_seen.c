#include "job/lease_seen.h"

#include <string.h>

#include "base/log.h"

static rs_sighting *find(rs_sightings *l, rs_arena *a, const char *video)
{
    for (int64_t i = 0; i < l->n; i++)
        if (strcmp(l->items[i].video, video) == 0)
            return &l->items[i];
    l->items = rs_arena_grow(a, l->items, &l->cap, (size_t)l->n + 1, sizeof *l->items);
    rs_sighting *s = &l->items[l->n++];
    *s = (rs_sighting){.video = rs_arena_strdup(a, video), .token = -1};
    return s;
}

double rs_sightings_age(rs_sightings *l, rs_arena *a, const char *video, const rs_lease_record *r)
{
    double now = rs_now();
    rs_sighting *s = find(l, a, video);
    if (s->token != r->token || s->beat != r->beat || strcmp(s->world, r->holder.world) != 0) {
        s->token = r->token;
        s->beat = r->beat;
        s->since = now;
        memcpy(s->world, r->holder.world, sizeof s->world);
    }
    return now - s->since;
}
