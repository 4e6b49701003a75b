// One table drives parsing, defaults, suggestions, resolved.yaml and the reference page.
//
// A schema describes a C struct: which keys a YAML mapping may have, where their values go, their
// defaults, ranges and meaning. Decoding is strict: an unknown key is an error with a suggestion, a
// value outside its range an error with the range, each with file:line:column.

#ifndef DC_CORE_SCHEMA_H
#define DC_CORE_SCHEMA_H

#include <stdio.h>

#include "core/expression.h"
#include "core/search.h"
#include "core/yaml.h"

enum dc_field_type {
    DC_FIELD_TEXT,     // const char *
    DC_FIELD_PATH,     // const char *: absolute; given relative to the file that names it, or as a
                       // name where the field has a `search`
    DC_FIELD_INT,      // int64_t
    DC_FIELD_INT32,    // int
    DC_FIELD_BYTES,    // int64_t: a whole number, perhaps with KiB, MiB, GiB or TiB behind it
    DC_FIELD_REAL,     // double
    DC_FIELD_FLOAT,    // float
    DC_FIELD_BOOL,     // bool
    DC_FIELD_CHOICE,   // int: index into `choices`
    DC_FIELD_TEXTS,    // struct dc_texts: a list of words (one word stands for a list of one)
    DC_FIELD_NUMBERS,  // struct dc_numbers: a list of numbers (one number stands for a list of one)
    DC_FIELD_INTEGERS,  // the same of whole numbers, which its readers may convert to integers
    DC_FIELD_GROUP,     // the struct of `group`, inline
    DC_FIELD_OPTIONAL,  // the same, or '' where the bool at `present` is false: stays as inherited,
                        // starts from the defaults where it was absent
    DC_FIELD_MAPPING,   // const struct dc_yaml *: a mapping as it stands; not written
    DC_FIELD_SEQUENCE,  // the same of a list
    DC_FIELD_CUSTOM,    // `decode` and `write` know
};

struct dc_numbers {
    int count;
    double items[DC_LIST_MAX];
};

struct dc_decoder {
    struct dc_arena *arena;
    const struct dc_variables *variables;  // for $names in model files, or NULL
    // Where a key that is unknown in its mapping is looked for, to say where it belongs: the
    // mappings of the file, NULL behind the last; or NULL.
    const struct dc_schema *const *places;
};

struct dc_schema;
struct dc_text_buffer;

struct dc_field {
    const char *key;
    enum dc_field_type type;
    size_t offset;
    const char *fallback;           // the default as text; NULL: the key must be there
    double minimum, maximum;        // of numbers; equal: unbounded
    bool filled;                    // a list has an item at least
    int most;                       // items of a list; 0: DC_LIST_MAX
    const char *const *choices;     // NULL-terminated
    enum dc_search_kind search;     // of a PATH: where a name is looked for
    const struct dc_schema *group;  // of CUSTOM: the mapping that it may be; or NULL
    size_t present;
    enum dc_status (*decode)(const struct dc_decoder *decoder, void *field,
                             const struct dc_yaml *node, struct dc_error *error);
    void (*write)(struct dc_text_buffer *out, const void *field, int indent);
    // The key came when runs had been recorded without it: a hash leaves it out where it has its
    // default, so that those runs are still themselves. Of INT, BOOL, CHOICE and TEXT.
    bool later;
    bool unhashed;  // it shapes no result: a hash leaves it out
    const char *help;
};

struct dc_schema {
    const char *name;  // in messages: "stage", "loss 'kd'"
    const struct dc_field *fields;
    int count;
};

// A row of a table; what follows the default are designated fields, the help at least.
#define DC_FIELD(owner, key_, type_, member, fallback_, ...)                                       \
    {                                                                                              \
        .key = (key_), .type = DC_FIELD_##type_, .offset = offsetof(struct owner, member),         \
        .fallback = (fallback_), __VA_ARGS__                                                       \
    }

#define DC_SCHEMA(label, table)                                                                    \
    {                                                                                              \
        (label), (table), (int)(sizeof(table) / sizeof(table)[0])                                  \
    }

// Every field gets its default, those of an optional part that is not there too; required ones
// become empty.
DC_MUST_USE enum dc_status dc_schema_defaults(const struct dc_schema *schema, void *base,
                                              const struct dc_decoder *decoder,
                                              struct dc_error *error);
// A mapping whose keys go to several structs: what all of a kind share, and what each has of its
// own.
struct dc_schema_part {
    const struct dc_schema *schema;
    void *base;
};
DC_MUST_USE enum dc_status dc_schema_decode_parts(const struct dc_schema_part *parts, int count,
                                                  const struct dc_yaml *mapping, const char *where,
                                                  bool check_required,
                                                  const struct dc_decoder *decoder,
                                                  struct dc_error *error);
// Of one struct. Keys that are there replace what base holds. `where` names the mapping in
// messages. check_required: keys without a default must be there.
DC_MUST_USE enum dc_status dc_schema_decode(const struct dc_schema *schema, void *base,
                                            const struct dc_yaml *mapping, const char *where,
                                            bool check_required, const struct dc_decoder *decoder,
                                            struct dc_error *error);

// A number of one field, an INT or a REAL, in its range.
DC_MUST_USE enum dc_status dc_field_number(double *value, const struct dc_field *field,
                                           const struct dc_yaml *node,
                                           const struct dc_decoder *decoder,
                                           struct dc_error *error);

// Text that grows. Failures are remembered and told at the end.
struct dc_text_buffer {
    char *text;
    size_t length, capacity;
    bool failed;
    bool hashed;  // to be hashed, not read: fields marked `later` are left out at their defaults
};
void dc_text_append(struct dc_text_buffer *buffer, const char *format, ...) DC_PRINTF(2, 3);
void dc_text_free(struct dc_text_buffer *buffer);
// Columns of a terminal that UTF-8 takes, a character each.
int dc_text_columns(const char *text);
// The first cell of a row, in so many columns: a name that is longer has a line of its own.
void dc_text_append_name(struct dc_text_buffer *buffer, const char *name, int columns);

// "key: value" lines of all fields, defaults included.
void dc_schema_write(const struct dc_schema *schema, struct dc_text_buffer *out, const void *base,
                     int indent);
// A scalar, quoted where YAML would read it as something else.
void dc_text_append_scalar(struct dc_text_buffer *out, const char *text);

// The first of the mappings (NULL behind the last), or of those within them, that has the key
// `word`, or else another's word for it: its name, and the key as it is called there. NULL: none.
const char *dc_schema_find_key(const char **key, const char *word,
                               const struct dc_schema *const *schemas);

// DC_ERR_CONFIG at a key: "unknown key 'x' in WHERE", a suggestion, and the keys there are.
enum dc_status dc_fail_unknown_key(struct dc_error *error, const struct dc_yaml *key,
                                   const char *where, const char *const *names, int count);

#endif
