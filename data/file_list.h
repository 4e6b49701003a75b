// Which files are the samples of a split, and of what class: photographs, and recordings of series.
// Internal to data/.
//
//   ROOT/train/CLASS/x.jpg   train/, with test/ and val/ (or valid/, validation/) beside it or not
//   ROOT/CLASS/x.jpg         class folders alone
//   TABLE.csv                a row a file (table.c)
//
// Classes are the folders of train/ (or ROOT) in the order of strcmp, or of class_names, which must
// be the same names. Samples are in the order of class, then file name; those of val/ come last of
// the training split.
// Where there is no test/, `test_share` of the training samples are it: floor(share * n + 1/2) of
// n, chosen by split.h's rule with the stream DC_PURPOSE_TEST_SHARE of split_seed.
//
// Every class has a file in every split. Names that start with a dot, Thumbs.db, desktop.ini
// and __MACOSX are passed over, and so are files beside train/; `note` counts them. Whatever else
// has another ending than the kind's, or lies elsewhere, is refused.

#ifndef DC_DATA_FILE_LIST_H
#define DC_DATA_FILE_LIST_H

#include "core/arena.h"
#include "data/open.h"

// What the files are.
struct dc__file_kind {
    const char *one, *many;      // "photograph", "photographs"
    const char *endings[5];      // NULL behind the last
    const char *endings_listed;  // for messages
};
extern const struct dc__file_kind dc__photo_files, dc__recording_files;

struct dc__file_list {
    int64_t count, capacity;
    const char **paths;
    int32_t *labels;
    const float **values;    // [count]: [classes] each, of labels that are no class; or NULL
    int64_t own_validation;  // the last so many of them
    int classes;             // 0: files without labels
    const char *const *class_names;
    const char *note;  // or NULL
};

bool dc__is_folder(const char *path);
bool dc__holds_folder(const char *path);  // hidden ones do not count
bool dc__is_of_kind(const char *name, const struct dc__file_kind *kind);

// Whether val/, valid/ or validation/ lies beside train/, or a row of a table says so.
bool dc__files_have_validation(const struct dc_source_spec *spec);

// All lies in the arena. DC_ERR_DATA says which file or folder does not fit.
DC_MUST_USE enum dc_status dc__list_files(struct dc__file_list *list,
                                          const struct dc__file_kind *kind,
                                          const struct dc_source_spec *spec, struct dc_arena *arena,
                                          struct dc_error *error);

// Both of folders alone (file_list.c); the above are of tables too (table.c).
bool dc__folders_have_validation(const struct dc_source_spec *spec);
DC_MUST_USE enum dc_status dc__list_folders(struct dc__file_list *list,
                                            const struct dc__file_kind *kind,
                                            const struct dc_source_spec *spec,
                                            struct dc_arena *arena, struct dc_error *error);
bool dc__is_table(const char *path);
// The ending of the first file that a table names is the kind's.
bool dc__table_names(const char *path, const struct dc__file_kind *kind);

// Room for one more file; labels and values are the caller's to set before.
DC_MUST_USE enum dc_status dc__add_file(struct dc__file_list *list, const char *path, int32_t label,
                                        const float *values, struct dc_arena *arena,
                                        struct dc_error *error);
// Keeps the test share of what is listed, or all else, by the rule above.
DC_MUST_USE enum dc_status dc__cut_test(struct dc__file_list *list,
                                        const struct dc__file_kind *kind,
                                        const struct dc_source_spec *spec, struct dc_arena *arena,
                                        struct dc_error *error);

#endif
