/* Kills of random ranks at random moments, in tests of kind dist. */
#ifndef RS_TESTS_KILLS_H
#define RS_TESTS_KILLS_H

/* Runs a small catalog on 1 to 4 ranks, kills a random one of them with SIGKILL at a random moment,
 * starts again with another number of ranks and of jobs in a batch, until the catalog is done;
 * again in a fresh folder, until there were so many kills. Checks after each: no finished state has
 * gone, every checkpoint can be read, is no older than before and (of a rank that was killed alone)
 * of a multiple of checkpoint.every, and the next run has gone on exactly there; and at the end of
 * each catalog: same bits as without kills, nothing left behind. Environment: RS_TEST_SEED and
 * RS_TEST_KILLS instead of the arguments. Prints the seed. */
void t_kills(unsigned long long seed, int kills);

#endif
