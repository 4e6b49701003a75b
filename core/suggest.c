// Owns the way from a word to the one that was meant.

#include "core/suggest.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_MAX = 64, FILES_MAX = 256 };

static int least(int a, int b)
{
    return a < b ? a : b;
}

// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
static int edit_distance(const char *a, const char *b)
{
    const int n = (int)strlen(a), m = (int)strlen(b);
    int rows[3][WORD_MAX + 1];
    if (n > WORD_MAX || m > WORD_MAX)
        return WORD_MAX + 1;
    for (int i = 0; i <= n; i++) {
        int *row = rows[i % 3];
        const int *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            if (i == 0) {
                row[j] = j;
                continue;
            }
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], above2[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

static const char *skip_marks(const char *text, const char *end)
{
    while (text < end && strchr("_-.", *text))
        text++;
    return text;
}

// Whether two words are the same but for capitals and marks. `b` ends at b_end.
static bool same_word(const char *a, const char *b, const char *b_end)
{
    const char *a_end = a + strlen(a);
    a = skip_marks(a, a_end);
    b = skip_marks(b, b_end);
    while (a < a_end && b < b_end && tolower((unsigned char)*a) == tolower((unsigned char)*b)) {
        a = skip_marks(a + 1, a_end);
        b = skip_marks(b + 1, b_end);
    }
    return a == a_end && b == b_end;
}

static bool has_word(const struct dc_synonym *row, const char *word)
{
    for (const char *at = row->words; *at; at += strspn(at, " ")) {
        const char *end = at + strcspn(at, " ");
        if (same_word(word, at, end))
            return true;
        at = end;
    }
    return false;
}

const char *dc_suggest(const char *word, const char *const *names, int count,
                       const struct dc_synonym **synonym)
{
    const int length = (int)strlen(word);
    int nearest = 1 + (length > 3 ? length / 3 : 1);  // one more than what counts as near
    const char *best = NULL;
    if (synonym)
        *synonym = NULL;
    for (int i = 0; i < count && *word; i++)
        if (same_word(word, names[i], names[i] + strlen(names[i])))
            return names[i];
    for (const struct dc_synonym *row = dc_synonyms; row->words && *word; row++) {
        for (int i = 0; row->ours && i < count; i++) {
            if (strcmp(names[i], row->ours) != 0 || !has_word(row, word))
                continue;
            if (synonym)
                *synonym = row;
            return names[i];
        }
    }
    for (int i = 0; i < count; i++) {
        const int distance = edit_distance(word, names[i]);
        if (distance < nearest) {
            nearest = distance;
            best = names[i];
        }
    }
    return best;
}

const char *dc_did_you_mean(char hint[DC_HINT], const char *word, const char *const *names,
                            int count)
{
    const struct dc_synonym *synonym;
    const char *near = dc_suggest(word, names, count, &synonym);
    hint[0] = '\0';
    if (near && synonym && synonym->note)
        snprintf(hint, DC_HINT, "; did you mean '%s' (%s)?", near, synonym->note);
    else if (near && synonym)
        snprintf(hint, DC_HINT, "; Decant calls it '%s'", near);
    else if (near)
        snprintf(hint, DC_HINT, "; did you mean '%s'?", near);
    return hint;
}

const char *dc_advice(char hint[DC_HINT], const char *word)
{
    hint[0] = '\0';
    for (const struct dc_synonym *row = dc_synonyms; row->words && *word && !hint[0]; row++)
        if (!row->ours && has_word(row, word))
            snprintf(hint, DC_HINT, "; %s", row->note);
    return hint;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *dc_file_hint(char hint[DC_HINT], const char *path, const char *what)
{
    char folder[4096], texts[FILES_MAX][WORD_MAX];
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *names[FILES_MAX];
    int count = 0;
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1,
             slash ? path : ".");
    DIR *entries = opendir(folder);
    for (const struct dirent *e; entries && count < FILES_MAX && (e = readdir(entries));)
        if (e->d_name[0] != '.' && strlen(e->d_name) < WORD_MAX) {
            memcpy(texts[count], e->d_name, strlen(e->d_name) + 1);
            names[count] = texts[count];
            count++;
        }
    if (entries)
        closedir(entries);
    qsort(names, (size_t)count, sizeof *names, compare_names);  // the same hint everywhere
    const char *near = dc_suggest(base, names, count, NULL);
    hint[0] = '\0';
    if (near)
        snprintf(hint, DC_HINT, "; did you mean '%s'?", near);
    else if (what && !strchr(base, '.'))
        snprintf(hint, DC_HINT, "; %s", what);
    return hint;
}

void dc_join(char *text, size_t bytes, const char *const *names, int count)
{
    text[0] = '\0';
    for (size_t i = 0, used = 0; i < (size_t)count && used < bytes; i++)
        used += (size_t)snprintf(text + used, bytes - used, "%s%s", i ? ", " : "", names[i]);
}
