// The random integer models of tests/qat, compiled for this folder's tests too.
#include "tests/qat/helper_models.c"
