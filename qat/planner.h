// Where blocks of memory lie that are alive for a while: as low as their lifetimes allow.
//
// Blocks that are alive in the same step do not share bytes, with one exception. A step writes its
// output while it reads its inputs for the last time, and mostly in the same order; so the output
// may lie over such an input if it begins far enough before it that no byte is written which is yet
// to be read. How far is the step's `distance`: 0 of what goes byte by byte (the output takes the
// input's place), a few rows of a convolution, all of the output where the first byte is read to
// the end (Blacker et al., arXiv:2010.01668, call it diagonal memory optimization).

#ifndef DC_QAT_PLANNER_H
#define DC_QAT_PLANNER_H

#include <stdint.h>

#include "core/error.h"

struct dc_block {
    int first, last;  // steps in which it is alive, both included
    int64_t bytes, offset;
    // The block that is written in step `last` and may lie over this one; -1: there is none.
    int successor;
    int64_t distance;  // it begins at least so many bytes before this one, or behind it
};

struct dc_block_plan {
    int64_t bytes;  // of all together: the highest end of a block
    int64_t bound;  // no placement of these blocks takes less
    int busiest;    // the step that sets the bound, the first of equals
};

// Sets the offsets: largest block first at the lowest offset that is free, then, where that is
// above the bound, by exchanging two blocks in this order as long as it does not become worse
// (Pisarchyk and Lee, arXiv:2001.03288, and a climb of fixed length). The same for the same blocks.
// Bytes and distances that are multiples of an alignment give offsets that are.
DC_MUST_USE enum dc_status dc_blocks_place(struct dc_block_plan *plan, struct dc_block *blocks,
                                           int count, struct dc_error *error);

#endif
