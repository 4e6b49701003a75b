// The networks of every op of tests/qat, compiled for this folder's tests too.
#include "tests/qat/helper_every_op.c"
#include "tests/qat/helper_graphs.c"
