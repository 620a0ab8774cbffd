#include "text/spm.h"

#include <sentencepiece_processor.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <vector>

struct rs_spm {
    sentencepiece::SentencePieceProcessor processor;
};

rs_spm *rs_spm_create(const void *model, size_t bytes, char *error, size_t cap)
{
    try {
        auto m = std::make_unique<rs_spm>();
        auto status = m->processor.LoadFromSerializedProto(
            absl::string_view(static_cast<const char *>(model), bytes));
        if (status.ok())
            return m.release();
        std::snprintf(error, cap, "%s", status.ToString().c_str());
    } catch (const std::exception &e) {
        std::snprintf(error, cap, "%s", e.what());
    }
    return nullptr;
}

void rs_spm_destroy(rs_spm **m)
{
    if (!m)
        return;
    delete *m;
    *m = nullptr;
}

int64_t rs_spm_pieces(const rs_spm *m)
{
    return m->processor.GetPieceSize();
}

int32_t rs_spm_pad_id(const rs_spm *m)
{
    return m->processor.pad_id();
}

int32_t rs_spm_eos_id(const rs_spm *m)
{
    return m->processor.eos_id();
}

int32_t rs_spm_unk_id(const rs_spm *m)
{
    return m->processor.unk_id();
}

int32_t rs_spm_find(const rs_spm *m, const char *piece)
{
    int id = m->processor.PieceToId(piece);
    if (id < 0 || id >= m->processor.GetPieceSize())
        return -1;
    return m->processor.IdToPiece(id) == piece ? id : -1; // unknown pieces answer with unk_id
}

const char *rs_spm_piece(const rs_spm *m, int32_t id)
{
    if (id < 0 || id >= m->processor.GetPieceSize())
        return nullptr;
    return m->processor.IdToPiece(id).c_str();
}

int64_t rs_spm_encode(const rs_spm *m, int32_t *ids, int64_t cap, const char *text, size_t bytes)
{
    try {
        std::vector<int> all;
        if (!m->processor.Encode(absl::string_view(text, bytes), &all).ok())
            return -1;
        for (int64_t i = 0; i < static_cast<int64_t>(all.size()) && i < cap; i++)
            ids[i] = all[static_cast<size_t>(i)];
        return static_cast<int64_t>(all.size());
    } catch (const std::exception &) {
        return -1;
    }
}
