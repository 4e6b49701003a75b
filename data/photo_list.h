// Which files of a folder are the samples of a split, and of what class. Internal to data/.
//
//   ROOT/train/CLASS/x.jpg   train/, with test/ and val/ (or valid/, validation/) beside it or not
//   ROOT/CLASS/x.jpg         class folders alone
//
// Classes are the folders of train/ (or ROOT) in the order of strcmp, or of class_names, which must
// be the same names. Samples are in the order of class, then file name; those of val/ come last of
// the training split.
// Where there is no test/, `test_share` of the training samples are it: floor(share * n + 1/2) of
// n, chosen by split.h's rule with the stream DC_PURPOSE_TEST_SHARE of split_seed.
//
// Every class has a photograph in every split. Names that start with a dot, Thumbs.db, desktop.ini
// and __MACOSX are passed over, and so are files beside train/; `note` counts them. Whatever else
// is no photograph by its name (.jpg, .jpeg, .png, .bmp), or lies elsewhere, is refused.

#ifndef DC_DATA_PHOTO_LIST_H
#define DC_DATA_PHOTO_LIST_H

#include "core/arena.h"
#include "data/open.h"

struct dc__photo_list {
    int64_t count, capacity;
    const char **paths;
    int32_t *labels;
    int64_t own_validation;  // the last so many of them
    int classes;             // 0: files without labels
    const char *const *class_names;
    const char *note;  // or NULL
};

// Whether val/, valid/ or validation/ lies beside train/.
bool dc__photos_have_validation(const char *path);

// All lies in the arena. DC_ERR_DATA says which file or folder does not fit.
DC_MUST_USE enum dc_status dc__list_photos(struct dc__photo_list *list,
                                           const struct dc_source_spec *spec,
                                           struct dc_arena *arena, struct dc_error *error);

#endif
