// `decant package`: a network as one signed file for devices, and a list of such files.

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/file.h"
#include "export/bundle.h"
#include "export/hex.h"
#include "export/minisign.h"
#include "run/bom.h"
#include "run/package.h"

struct package {
    struct dc_cli cli;
    int64_t version, floor, firmware;
    const char *out, *parent, *payload, *key, *list, *address;
    bool bom;
};

#define MOST_VERSION 4294967295.0

static const struct dc_option options[] = {
    DC_OPTION(package, "--version", COUNT, version, "N", .most = MOST_VERSION,
              .help = "version of the network"),
    DC_OPTION(package, "--floor", COUNT, floor, "N", .most = MOST_VERSION,
              .help = "once a device has confirmed this package, it takes no version below N"),
    DC_OPTION(package, "--minimum-firmware", COUNT, firmware, "N", .most = MOST_VERSION,
              .help = "least version of the firmware that runs it"),
    DC_OPTION(package, "--parent", TEXT, parent, "FILE",
              .help = "the package that this one comes from; its hash is kept"),
    DC_OPTION(package, "--payload", TEXT, payload, "FILE",
              .help = "what the device gets: a .tflite, or an image of its firmware; else the "
                      "bundle's archive, made anew"),
    DC_OPTION(package, "--key", TEXT, key, "FILE",
              .help = "secret key of minisign, which signs: FILE.minisig. Its password is asked "
                      "for, or is a line of stdin"),
    DC_OPTION(package, "--out", TEXT, out, "FILE",
              .help = "the package; else NAME-VERSION.dpk, here"),
    DC_OPTION(package, "--address", TEXT, address, "0xADDRESS",
              .help = "of a slot in flash: FILE.hex, too, the package there as Intel HEX"),
    DC_OPTION(package, "--bom", FLAG, bom, NULL,
              .help = "a bill of materials, too: FILE.cdx.json, CycloneDX 1.5 with a model card"),
    DC_OPTION(package, "--list", TEXT, list, "FOLDER", .help = "show the packages of a folder"),
    DC_OPTION_JSON(package),
};

// A line of stdin, unseen where that is a terminal. Erased by the caller.
static enum dc_status ask_password(char *password, size_t size, const char *key,
                                   struct dc_error *error)
{
    struct termios shown, hidden;
    const bool terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &shown) == 0;
    if (terminal) {
        hidden = shown;
        hidden.c_lflag &= ~(tcflag_t)ECHO;
        fprintf(stderr, "password of %s: ", key);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    }
    const bool read = fgets(password, (int)size, stdin) != NULL;
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
        fputc('\n', stderr);
    }
    if (!read)
        return dc_fail(error, DC_ERR_USAGE, "%s wants a password, and stdin has none", key);
    password[strcspn(password, "\n")] = '\0';
    return DC_OK;
}

// Files to be written once all of them are made.
struct output {
    const char *path;
    const void *bytes;
    size_t size;
};
struct outputs {
    struct output items[4];
    int count;
};

static enum dc_status add(struct outputs *outputs, const char *path, const char *ending,
                          const void *bytes, size_t size, struct dc_arena *arena,
                          struct dc_error *error)
{
    struct output *out = &outputs->items[outputs->count++];
    *out = (struct output){dc_arena_printf(arena, error, "%s%s", path, ending), bytes, size};
    return out->path ? DC_OK : DC_ERR_MEMORY;
}

// What has been given to devices does not change under its name: nothing is written unless each
// file is new, or is there with the same bytes.
static enum dc_status write_all(const struct outputs *outputs, struct dc_arena *arena,
                                struct dc_error *error)
{
    bool there[4] = {false};
    for (int i = 0; i < outputs->count; i++) {
        const struct output *out = &outputs->items[i];
        char *text = NULL;
        size_t length = 0;
        there[i] = dc_file_exists(out->path);
        if (there[i])
            DC_TRY(dc_file_read(&text, &length, out->path, arena, error));
        if (there[i] && (length != out->size || memcmp(text, out->bytes, length) != 0))
            return dc_fail(error, DC_ERR_USAGE,
                           "%s is there and holds something else, and a package is never "
                           "overwritten: choose another --version or --out",
                           out->path);
    }
    for (int i = 0; i < outputs->count; i++)
        if (!there[i])
            DC_TRY(dc_file_write(outputs->items[i].path, outputs->items[i].bytes,
                                 outputs->items[i].size, error));
    return DC_OK;
}

// The text of the signature.
static enum dc_status sign(char **text, const struct package *own, const struct dc_package *package,
                           const void *bytes, size_t size, struct dc_arena *arena,
                           struct dc_error *error)
{
    struct dc_minisign_key key;
    char password[1024], hex[2 * DC_PACKAGE_HASH + 1];
    bool protected = false;
    char *comment = dc_arena_printf(arena, error, "%s version %u, packaged by Decant %s",
                                    package->name, package->version, DECANT_VERSION);
    char *trusted = dc_arena_printf(arena, error, "%s version %u, floor %u, sha256 %s",
                                    package->name, package->version, package->floor,
                                    dc_package_hex(hex, package->hash, DC_PACKAGE_HASH));
    if (!comment || !trusted)
        return DC_ERR_MEMORY;
    DC_TRY(dc_minisign_is_protected(&protected, own->key, error));
    if (protected)
        DC_TRY(ask_password(password, sizeof password, own->key, error));
    enum dc_status status = dc_minisign_read_key(&key, own->key, protected ? password : NULL,
                                                 error);
    explicit_bzero(password, sizeof password);
    if (status == DC_OK)
        status = dc_minisign_sign(text, &key, bytes, size, comment, trusted, arena, error);
    dc_minisign_forget(&key);
    return status;
}

// The bill of materials, in the arena.
static enum dc_status encode_bom(char **text, const struct dc_package *package, const char *bundle,
                                 struct dc_arena *arena, struct dc_error *error)
{
    json_t *bom = NULL;
    DC_TRY(dc_run_bom(&bom, package, bundle, error));
    char *dumped = json_dumps(bom, JSON_INDENT(2));
    json_decref(bom);
    *text = dumped ? dc_arena_printf(arena, error, "%s\n", dumped) : NULL;
    free(dumped);
    return *text ? DC_OK : dc_fail(error, DC_ERR_MEMORY, "out of memory");
}

static enum dc_status read_address(uint32_t *address, const char *text, struct dc_error *error)
{
    char *end = NULL;
    const unsigned long long value = strtoull(text, &end, 0);
    *address = (uint32_t)value;
    return *end || end == text || text[0] == '-' || value > UINT32_MAX
               ? dc_fail(error, DC_ERR_USAGE,
                         "--address wants one of 32 bits, as 0x08080000, not '%s'", text)
               : DC_OK;
}

static enum dc_status read_payload(struct dc_package *package, const struct package *own,
                                   const char *bundle, struct dc_arena *arena,
                                   struct dc_error *error)
{
    const char *path = own->payload;
    char *bytes = NULL;
    DC_TRY(path ? dc_file_read(&bytes, &package->payload_bytes, path, arena, error)
                : dc_bundle_archive(&bytes, &package->payload_bytes, bundle, arena, error));
    package->payload = bytes;
    package->kind = !path || dc_path_ends(path, ".tar") ? DC_PAYLOAD_ARCHIVE
                    : dc_path_ends(path, ".tflite")     ? DC_PAYLOAD_TFLITE
                                                        : DC_PAYLOAD_IMAGE;
    return DC_OK;
}

// A folder's name without what says the same: "int8/", "int8/.".
static char *folder_of(const char *given, struct dc_arena *arena, struct dc_error *error)
{
    size_t end = strlen(given);
    while (end > 1 && (given[end - 1] == '/' || (given[end - 1] == '.' && given[end - 2] == '/')))
        end--;
    return dc_arena_printf(arena, error, "%.*s", (int)end, given);
}

static enum dc_status make(const struct package *own, struct dc_arena *arena,
                           struct dc_error *error)
{
    struct dc_package package, parent;
    struct outputs outputs = {.count = 0};
    void *bytes = NULL;
    char *text = NULL;
    size_t size = 0, length = 0;
    uint32_t address = 0;
    const char *bundle = folder_of(own->cli.positionals[0], arena, error);
    if (!bundle)
        return DC_ERR_MEMORY;
    DC_TRY(dc_run_package(&package, bundle, error));
    package.version = (uint32_t)own->version;
    package.floor = (uint32_t)own->floor;
    package.minimum_firmware = (uint32_t)own->firmware;
    DC_TRY(read_payload(&package, own, bundle, arena, error));
    if (own->parent) {
        DC_TRY(dc_package_read(&parent, own->parent, arena, error));
        if (strcmp(parent.name, package.name) != 0)
            return dc_fail(error, DC_ERR_USAGE, "--parent %s holds '%s', and this is '%s'",
                           own->parent, parent.name, package.name);
        if (parent.version >= package.version)
            return dc_fail(error, DC_ERR_USAGE, "--parent %s has version %u, and this is %u",
                           own->parent, parent.version, package.version);
        memcpy(package.parent, parent.hash, sizeof package.parent);
    }
    const char *path = own->out ? own->out
                                : dc_arena_printf(arena, error, "%s-%u" DC_PACKAGE_ENDING,
                                                  package.name, package.version);
    if (!path)
        return DC_ERR_MEMORY;
    DC_TRY(dc_package_encode(&bytes, &size, &package, arena, error));
    DC_TRY(add(&outputs, path, "", bytes, size, arena, error));
    if (own->key) {
        DC_TRY(sign(&text, own, &package, bytes, size, arena, error));
        DC_TRY(add(&outputs, path, ".minisig", text, strlen(text), arena, error));
    }
    if (own->address) {
        DC_TRY(read_address(&address, own->address, error));
        DC_TRY(dc_hex_encode(&text, &length, bytes, size, address, arena, error));
        DC_TRY(add(&outputs, path, ".hex", text, length, arena, error));
    }
    if (own->bom) {
        DC_TRY(encode_bom(&text, &package, bundle, arena, error));
        DC_TRY(add(&outputs, path, ".cdx.json", text, strlen(text), arena, error));
    }
    DC_TRY(write_all(&outputs, arena, error));
    if (own->cli.json)
        return dc_cli_print_json(dc_package_json(&package, path), error);
    printf("%s: %s version %u, %s of %zu bytes%s\n", path, package.name, package.version,
           dc_payload_names[package.kind - 1], package.payload_bytes,
           own->key ? ", signed" : ", not signed (--key)");
    return DC_OK;
}

// A package of a folder, under the name of its file.
struct row {
    struct dc_package package;
    char *file;
    bool is_signed;
};

static int by_version(const void *a, const void *b)
{
    const struct row *first = a, *second = b;
    const uint32_t x = first->package.version, y = second->package.version;
    const int names = strcmp(first->package.name, second->package.name);
    return names ? names : (x > y) - (x < y);
}

static void print_row(const struct row *row)
{
    const struct dc_package *p = &row->package;
    static const uint8_t none[DC_PACKAGE_HASH];
    char accuracy[16] = "-", hash[9], parent[9] = "-";
    if (p->accuracy != DC_PACKAGE_NO_ACCURACY)
        snprintf(accuracy, sizeof accuracy, "%.2f %%", 0.01 * p->accuracy);
    if (memcmp(p->parent, none, sizeof none) != 0)
        dc_package_hex(parent, p->parent, 4);
    dc_print_name(row->file, 20);
    printf(" %7u %-7s %8zu %9s %8s %8s %6s\n", p->version, dc_payload_names[p->kind - 1],
           p->payload_bytes, accuracy, dc_package_hex(hash, p->hash, 4), parent,
           row->is_signed ? "yes" : "no");
}

static int is_package(const struct dirent *entry)
{
    return dc_path_ends(entry->d_name, DC_PACKAGE_ENDING);
}

static enum dc_status read_row(struct row *row, json_t *json, const char *folder, const char *name,
                               struct dc_arena *arena, struct dc_error *error)
{
    const char *path = dc_arena_printf(arena, error, "%s/%s", folder, name);
    const char *signature = dc_arena_printf(arena, error, "%s/%s.minisig", folder, name);
    row->file = dc_arena_copy(arena, name, error);
    if (!path || !signature || !row->file)
        return DC_ERR_MEMORY;
    row->is_signed = dc_file_exists(signature);
    DC_TRY(dc_package_read(&row->package, path, arena, error));
    json_t *entry = dc_package_json(&row->package, path);
    if (!entry)
        return dc_fail(error, DC_ERR_USAGE, "%s: its name is not UTF-8", path);
    json_object_set_new(entry, "signed", json_boolean(row->is_signed));
    json_array_append_new(json, entry);
    return DC_OK;
}

static void print_rows(const struct row *rows, int count)
{
    printf("%-20s %7s %-7s %8s %9s %8s %8s %6s\n", "file", "version", "payload", "bytes",
           "accuracy", "sha256", "from", "signed");
    for (int i = 0; i < count; i++)
        print_row(&rows[i]);
}

// What cannot be read is told, and the others are shown.
static enum dc_status list(const struct package *own, struct dc_arena *arena,
                           struct dc_error *error)
{
    struct dirent **entries = NULL;
    const int count = scandir(own->list, &entries, is_package, alphasort);
    if (count < 0)
        return dc_fail(error, DC_ERR_USAGE, "%s: %s", own->list, strerror(errno));
    json_t *json = json_array();
    struct row *rows = DC_NEW(arena, struct row, count + 1, error);
    enum dc_status status = rows ? DC_OK : DC_ERR_MEMORY;
    int read = 0;
    if (count == 0)
        status = dc_fail(error, DC_ERR_USAGE, "%s: there is no package (*%s)", own->list,
                         DC_PACKAGE_ENDING);
    for (int i = 0; rows && i < count; i++) {
        struct dc_error fault;
        const enum dc_status one = read_row(&rows[read], json, own->list, entries[i]->d_name, arena,
                                            &fault);
        if (one == DC_OK)
            read++;
        else
            status = dc_fail(error, one, "%s", fault.message);
        if (one != DC_OK && i + 1 < count)
            dc_print_error(fault.message);
        free(entries[i]);
    }
    free(entries);
    if (rows && own->cli.json && read > 0) {
        const enum dc_status printed = dc_cli_print_json(json_incref(json), error);
        status = status == DC_OK ? printed : status;
    } else if (rows && read > 0) {
        qsort(rows, (size_t)read, sizeof *rows, by_version);
        print_rows(rows, read);
    }
    json_decref(json);
    return status;
}

static enum dc_status package(const struct dc_cli *cli, struct dc_error *error)
{
    const struct package *own = (const struct package *)cli;
    struct dc_arena *arena = NULL;
    if (!own->list == !cli->positional_count)
        return dc_fail(error, DC_ERR_USAGE,
                       "decant package needs a BUNDLE to pack, or --list FOLDER");
    if (!own->list && !own->version)
        return dc_fail(error, DC_ERR_USAGE,
                       "decant package needs --version N: devices compare it with theirs");
    DC_TRY(dc_arena_create(&arena, error));
    const enum dc_status status = own->list ? list(own, arena, error) : make(own, arena, error);
    dc_arena_free(arena);
    return status;
}

const struct dc_verb dc_verb_package = {
    .name = "package",
    .arguments = "BUNDLE --version N | --list FOLDER",
    .brief = "one signed file for devices: a network with its version and hash",
    .text =
        "What a device does with it is examples/device/update.c: signature, version, hash and "
        "interface are checked, the network runs on trial, and stays once it is confirmed. "
        "'minisign -G' makes keys, 'minisign -Vm FILE' checks a signature. docs/update.md tells "
        "more.",
    DC_VERB_OPTIONS(options, package),
    .positionals_max = 1,
    .run = package,
};
