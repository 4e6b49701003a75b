// The page in the making: what its sections read, and the figures they made.

#ifndef DC_REPORT_PAGE_H
#define DC_REPORT_PAGE_H

#include "report/chart.h"
#include "report/events.h"
#include "report/html.h"
#include "report/measures.h"
#include "run/relations.h"

enum { DC_DRAWINGS_MAX = 340 };

struct dc_page {
    struct dc_arena *arena;
    struct dc_run *run;
    const json_t *metrics, *environment;  // metrics: an array of the objects of metrics.jsonl
    const struct dc_measures *measures;
    struct dc_text_buffer out;
    struct dc_drawing *drawings[DC_DRAWINGS_MAX];  // figures, which become PNG as well
    int drawing_count;
    struct dc_picture pictures[DC_DRAWINGS_MAX];  // those PNG files, once written; owned
    int picture_count;
    bool failed;              // memory was out
    struct dc_drawing spare;  // what has no room is drawn there
};

// The sections, in order. Each opens with its own heading.
void dc_page_outcome(struct dc_page *page);   // header, tiles, stages, curves
void dc_page_integers(struct dc_page *page);  // what rounding cost, layer by layer
void dc_page_answers(struct dc_page *page);   // confusion, disagreement, calibration
void dc_page_flips(struct dc_page *page);     // samples that were lost and won
void dc_page_cascade(struct dc_page *page);   // what a device could settle by itself
void dc_page_record(struct dc_page *page);    // verification, budgets, experiment, machine

// A stage's entry in the results; NULL: it is not done.
const json_t *dc_page_result(const struct dc_page *page, const struct dc_stage *stage);
void dc_page_heading(struct dc_page *page, const char *id, const char *words);
// In words on the page: what is not there, and why.
void dc_page_missing(struct dc_page *page, const char *format, ...) DC_PRINTF(2, 3);

// A drawing to be filled and then shown. number 0: the name as it is; else NAME-NUMBER.
struct dc_drawing *dc_page_drawing(struct dc_page *page, const char *name, int number);
// title: one line above it, and the picture's name for who cannot see it; words: what it says.
void dc_page_figure(struct dc_page *page, struct dc_drawing *drawing, bool wide, const char *title,
                    const char *format, ...) DC_PRINTF(5, 6);

// "91.30 %" with its interval in small letters; "-" of NULL or of what has no accuracy.
void dc_page_accuracy(struct dc_page *page, const json_t *scores);
double dc_page_number(const json_t *object, const char *key);  // NaN: there is none
// "12,345"; "-" of what is no count.
const char *dc_page_count(char text[32], double value);
// What ram_bytes of the results counts, wherever it is told.
#define DC_RAM_WORDS      "activations, input, output, scratch and stack"
#define DC_INTERVAL_WORDS "95 % interval by Wilson"

#endif
