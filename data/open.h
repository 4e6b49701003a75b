// Opening a data set: one call for every kind of file that Decant reads.
//
// Owns the list of kinds and the rule that tells them apart. A source is opened for one split; what
// is cut from the training split for validation is split.h's, what is done to samples augment.h's.
//
//   kind      path is                                               sample
//   idx       a folder of {train,t10k}-{images-idx3,labels-idx1}-ubyte[.gz|.xz]
//                                                                   uint8 [height, width, 1]
//   cifar10   a folder of data_batch_{1..5}.bin, test_batch.bin [.gz|.xz]
//                                                                   uint8 [32, 32, 3]
//   cifar100  a folder of train.bin, test.bin [.gz|.xz]; fine labels  uint8 [32, 32, 3]
//   photos    a folder with one folder a class, of JPEG, PNG and BMP files, perhaps below train/,
//             test/ and val/ (file_list.h); png is its older name  uint8 [height, width, channels]
//   npz       NumPy's arrays x_train, y_train, x_test, y_test or train_images, train_labels, ...:
//             an archive x.npz, or a folder of .npy files           uint8 or float32
//   series    a folder of CSV files, a recording each, with one folder a class, or with a column of
//             labels; cut into windows (series.c)                   float32 [window, 1, channels]
//   hdf5      a file with arrays inputs [n, ...] and labels [n] (perhaps in groups train and test),
//             or labels [n, outputs] of values and tags
//                                                                   uint8 or float32, as stored
//
// Files of photos and series may be listed in a table TABLE.csv instead (table.c).
//
// Classes: the folders' names (photos; class_names puts them in order), or class_names below, or
// the names that come with the data (classes.txt beside IDX files, batches.meta.txt,
// fine_label_names.txt, attribute class_names in HDF5, one name a line; attribute classes in HDF5
// gives their number alone), or, of IDX, NPZ and HDF5 without any of these, as many as the training
// labels use, every class from 0 on.

#ifndef DC_DATA_OPEN_H
#define DC_DATA_OPEN_H

#include "core/preprocessing.h"
#include "core/source.h"

#define DC_TEST_SHARE 0.2  // of photographs where no test/ is, unless something else is said

struct dc_source_spec {
    const char *kind;  // NULL or "auto": told from what lies at `path`
    const char *path;
    const char *split;        // "train" or "test"
    struct dc_resize resize;  // photos only; height 0: as the files are
    int channels;             // photos only: 1 or 3; 0: as the files are
    double test_share;        // photos and series: of the training files where no test/ is
    uint32_t split_seed;      // of that choice
    int64_t window, stride;   // series only: rows; stride 0: the window
    const char *const *channel_columns;  // series only: [channel_column_count]; none: all columns
    int channel_column_count;
    const char *file_column, *split_column;  // of tables; NULL: "file", "split"
    const char *const *label_columns;        // [label_column_count]; none: "label"
    int label_column_count;
    enum dc_label_kind label_kind;  // tables and HDF5 alone have other than classes
    bool any_labels;                // or what the HDF5 file says that they are
    // Other data than a run's: resize and channels are for photographs alone, whose classes may be
    // missing, and where they have no test/ all of them are the split asked for.
    bool foreign;
    const char *const *files;  // photos only: these files and folders, without labels
    int64_t file_count;
    const char *const *class_names;     // [class_count] or NULL; copied
    int class_count;                    // 0: as said above. May be given without names
    int64_t memory_limit;               // hdf5: larger arrays are streamed; 0: 512 MiB
    int64_t memory;                     // limits.memory, core/bounds.h; 0: its default
    int threads;                        // photos only: that decode; 0: all there are
    const volatile sig_atomic_t *stop;  // raised: opening ends with DC_ERR_STOPPED; or NULL
};

// What is wrong with the spec is DC_ERR_CONFIG; what is wrong with files is DC_ERR_DATA, and the
// message names the file and the record or byte. *source is freed with dc_source_free.
DC_MUST_USE enum dc_status dc_source_open(struct dc_source **source,
                                          const struct dc_source_spec *spec,
                                          struct dc_error *error);

// What names alone tell, where no sample is read: of photographs, that both splits are as they
// should be, and how many classes they have. 0: of other kinds, and where nothing is at the path.
DC_MUST_USE enum dc_status dc_source_look(int *classes, const struct dc_source_spec *spec,
                                          struct dc_error *error);

// "libjpeg-turbo 2.1.5, libpng 1.6.39": what decodes photographs.
void dc_photo_libraries(char text[64]);

// Whether data of this kind at `path` brings a folder of samples to validate on.
bool dc_source_own_validation(const struct dc_source_spec *spec);

// Which kind lies there: its name, or NULL.
const char *dc_source_kind_of(const struct dc_source_spec *spec);

// The names of all kinds, NULL behind the last.
const char *const *dc_source_kinds(void);

// What a command line calls a data set: "KIND:PATH" where KIND is one of them, else a path of a
// kind that is told from its files. The text must outlive the spec.
struct dc_source_spec dc_source_spec_of(const char *text, const char *split);

#endif
