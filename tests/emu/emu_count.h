/* What the emulated runtime was asked for since the start of the program, for tests of what a step
 * may do. C and C++. */
#ifndef RS_TESTS_EMU_EMU_COUNT_H
#define RS_TESTS_EMU_EMU_COUNT_H

#ifdef __cplusplus
extern "C" {
#endif

typedef struct emu_counts {
    long long allocations; /* of device memory, and what was freed */
    long long pinned;      /* allocations of page-locked memory, and what was freed */
    long long waits;       /* calls that the host waits in; frees do, too */
    long long launches;    /* kernels; products of cuBLASLt are another row */
    long long products;
    long long copies; /* and fills */
    long long events; /* records and waits of streams */
} emu_counts;

void emu_count(emu_counts *out);

#ifdef __cplusplus
}
#endif
#endif
