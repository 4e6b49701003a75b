// Owns what verbs share: results on stdout, and the run that a directory or a bundle belongs to.

#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "core/file.h"

bool dc_cli_has_file(const char *directory, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return dc_file_exists(path);
}

enum dc_status dc_cli_print_json(json_t *json, struct dc_error *error)
{
    if (!json)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    const bool written = json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) == 0 &&
                         putchar('\n') != EOF;
    json_decref(json);
    return written ? DC_OK : dc_fail(error, DC_ERR_IO, "stdout cannot be written");
}

enum dc_status dc_cli_print_text(struct dc_text_buffer *text, struct dc_error *error)
{
    const bool failed = text->failed;
    const bool written = failed || fputs(text->text ? text->text : "", stdout) >= 0;
    dc_text_free(text);
    if (failed)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    return written ? DC_OK : dc_fail(error, DC_ERR_IO, "stdout cannot be written");
}

enum dc_status dc_cli_open_run(struct dc_run **run, const struct dc_cli *cli, const char *directory,
                               struct dc_error *error)
{
    struct dc_run_options how = {.directory = directory, .context = dc_cli_context(cli)};
    how.context.stop = dc_cli_stop();
    return dc_run_open(run, &how, error);
}

enum dc_status dc_cli_run_of_bundle(char *run, size_t size, const char *given, const char *bundle,
                                    struct dc_error *error)
{
    snprintf(run, size, "%s", given ? given : bundle);
    for (size_t n = strlen(run); n > 1 && run[n - 1] == '/'; n = strlen(run))
        run[n - 1] = '\0';
    for (int up = 0; up < 2 && !given; up++) {
        char *slash = strrchr(run, '/');
        if (!slash)
            return dc_fail(error, DC_ERR_USAGE,
                           "%s does not lie in a run directory; name that with --run", bundle);
        *slash = '\0';
    }
    return DC_OK;
}
