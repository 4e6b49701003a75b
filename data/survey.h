// What photographs are, before anything is decided about them: for `decant init` to choose by.

#ifndef DC_DATA_SURVEY_H
#define DC_DATA_SURVEY_H

#include "core/arena.h"
#include "data/inspect.h"
#include "data/open.h"

enum { DC_SURVEY_FAILURES = 8 };

struct dc_photo_survey {
    int classes;
    const char *const *class_names;  // [classes]
    struct dc_label_counts train, validation, test;
    int64_t count, grey;  // all; those whose every pixel is grey
    int64_t elongated;    // whose longer side is more than 1.5 times the shorter
    int least_side, tenth_side, middle_side, most_side;  // of the shorter sides; a tenth is below
    bool equal;                                          // all are of one size: height x width
    int height, width;                                   // of the first
    const char *note;                                    // what names told, or NULL
    int64_t unreadable;
    const char *failures[DC_SURVEY_FAILURES];  // why, of the first ones
};

// Decodes every photograph of a data set, train and test; what cannot be read is counted and told
// in the survey. DC_ERR_DATA: what names tell is wrong (file_list.h). All lies in the arena.
DC_MUST_USE enum dc_status dc_survey_photos(struct dc_photo_survey *survey,
                                            const struct dc_source_spec *spec,
                                            struct dc_arena *arena, struct dc_error *error);

#endif
