// Wrong data sets beside the right ones of tiny_files (helper_experiment.h), for refusals.

#ifndef DC_TESTS_RUN_HELPER_DAMAGED_H
#define DC_TESTS_RUN_HELPER_DAMAGED_H

// In the test's folder: empty/; lies/, cut/, label/ and test-label/, IDX with a wrong count, an end
// too early, a label out of range; images/, PNG of which one is cut; wrong.h5 with labels missing,
// good.h5 of another shape.
void damaged_files(void);

#endif
