// What to say to a word that is none of those that are possible here.
//
// Owns two ways to the right one: spelling, and the words that PyTorch, Keras, Ultralytics and the
// like have for the same thing. A row of the table applies wherever the word it leads to is one of
// those possible, be it a key, a value, a layer, a loss or an option of the command line.

#ifndef DC_CORE_SUGGEST_H
#define DC_CORE_SUGGEST_H

#include <stdbool.h>
#include <stddef.h>

// Words compare without capitals, '_', '-', '.' and blanks: BatchNorm2d is batch_norm_2d.
struct dc_synonym {
    const char *words;  // what others say, separated by blanks
    const char *ours;   // or NULL: there is no word for it
    const char *note;   // what is different there, or, without `ours`, what to do; NULL: nothing
};
extern const struct dc_synonym dc_synonyms[];  // `words` NULL behind the last

// The entry of `names` that is the same word, another's word for the same, or the nearest by edit
// distance; NULL if none is near. *synonym (may be NULL) gets the row that led there, or NULL.
const char *dc_suggest(const char *word, const char *const *names, int count,
                       const struct dc_synonym **synonym);

// The same as the end of a message: "; did you mean 'NAME'?", "; Decant calls it 'NAME'", or "".
enum { DC_HINT = 256 };
const char *dc_did_you_mean(char hint[DC_HINT], const char *word, const char *const *names,
                            int count);
// What to do about a key, a layer or an option that Decant has no word for: "; ADVICE", or "".
const char *dc_advice(char hint[DC_HINT], const char *word);
// For a file that is not there: the nearest name in its folder; else, where its name has no ending,
// what the file is (what may be NULL).
const char *dc_file_hint(char hint[DC_HINT], const char *path, const char *what);

// "a, b, c", as far as it fits.
void dc_join(char *text, size_t bytes, const char *const *names, int count);

#endif
