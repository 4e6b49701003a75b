// What the fuzz entries share. An entry is one file, fuzz_NAME.c, that gives a reader whatever
// bytes it is given: a refusal and a result are both fine; a crash, a hang, a leak or memory beyond
// what a file of that size may ask for is not.
//
// By clang an entry is linked to libFuzzer (preset fuzz); by gcc to replay.c, which gives it the
// files of tests/faults/NAME and a fixed number of mutations of them.

#ifndef DC_TESTS_FAULTS_FUZZ_H
#define DC_TESTS_FAULTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// How many inputs were taken, not refused: an entry counts them, replay.c wants some of the seeds
// and not all of the mutations among them.
extern unsigned long fuzz_taken;

// A path in this process's scratch folder, which is made when first asked for and removed at the
// end (kept where DECANT_FUZZ_KEEP is set, and named). Static memory; four calls may be alive.
const char *fuzz_path(const char *name);
// The same, holding these bytes. Folders on the way to it are made.
const char *fuzz_file(const char *name, const void *bytes, size_t size);

#endif
