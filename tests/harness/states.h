/* State files of two runs against each other. */
#ifndef RS_TESTS_STATES_H
#define RS_TESTS_STATES_H

/* Fails the case unless both safetensors files hold the same tensors, at least one, bit for bit. */
void t_same_state(const char *a, const char *b);

#endif
