#include "harness/states.h"

#include <string.h>

#include "harness/test.h"
#include "store/safetensors.h"

void t_same_state(const char *a, const char *b)
{
    rs_safetensors *x, *y;
    T_OK(rs_safetensors_open(&x, a));
    T_OK(rs_safetensors_open(&y, b));
    T_EQ_I(rs_safetensors_count(x), rs_safetensors_count(y));
    T_CHECK(rs_safetensors_count(x) > 0);
    for (int64_t i = 0; i < rs_safetensors_count(x); i++) {
        const rs_tensor *p = rs_safetensors_at(x, i);
        const rs_tensor *q = rs_safetensors_find(y, rs_safetensors_name(x, i));
        T_CHECKF(q && rs_tensor_same_shape(*p, *q) &&
                     memcmp(p->data, q->data, rs_tensor_bytes(*p)) == 0,
                 "%s differs in %s", b, rs_safetensors_name(x, i));
    }
    rs_safetensors_close(&x);
    rs_safetensors_close(&y);
}
