// The keys of experiment, target and model files as a page to read, made from the tables by which
// those files are decoded.

#ifndef DC_RUN_REFERENCE_H
#define DC_RUN_REFERENCE_H

#include "core/schema.h"

enum dc_reference_page { DC_PAGE_EXPERIMENT, DC_PAGE_TARGET, DC_PAGE_MODEL, DC_PAGE_COUNT };

// "experiment", "target", "model"; NULL-terminated.
extern const char *const dc_reference_pages[];

// Appends what stands under `word`: a page with all its sections ("model"), one section ("train"),
// a loss, an augmentation or a layer ("kd", "conv"); else, of a key ("temperature"), its row in
// each section that has it. markdown: tables for docs/; else lines of up to 80 columns. NULL: every
// page. False: there is no such word.
bool dc_reference_write(struct dc_text_buffer *out, const char *word, bool markdown);

// The words of sections, or the keys within them, page by page; returns their number.
int dc_reference_words(const char *words[], int capacity, bool keys);

#endif
