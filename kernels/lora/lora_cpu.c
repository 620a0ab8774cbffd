/* By gemm, pair by pair: a CPU's caches hold what one product reads again, and its arithmetic, not
 * its memory, is what these products wait for. */
#include "kernels/cpu/cpu_ops.h"
#include "kernels/lora/lora_any.h"

static void gemm(void *k, const rs_gemm_args *a)
{
    rs_cpu_gemm(k, a);
}

static void add(void *k, const rs_gate_add_args *a)
{
    rs_cpu_gate_add(k, a);
}

static void zero(void *k, void *p, size_t bytes)
{
    (void)k;
    memset(p, 0, bytes);
}

void rs_cpu_lora_down(rs_kctx *k, const rs_lora_down_args *a)
{
    const rs_lora_calls calls = {k, gemm, add, zero};
    for (int i = 0; i < a->parts; i++)
        rs_lora_any_down(&calls, a, i);
}

void rs_cpu_lora_up(rs_kctx *k, const rs_lora_up_args *a)
{
    const rs_lora_calls calls = {k, gemm, add, zero};
    for (int i = 0; i < a->parts; i++)
        rs_lora_any_up(&calls, a, i);
}

void rs_cpu_lora_grad(rs_kctx *k, const rs_lora_grad_args *a)
{
    const rs_lora_calls calls = {k, gemm, add, zero};
    for (int i = 0; i < a->parts; i++)
        rs_lora_any_grad(&calls, a, i);
}
