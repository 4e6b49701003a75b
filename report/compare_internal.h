// Shared between the terminal's and the page's view of a comparison.

#ifndef DC_REPORT_COMPARE_INTERNAL_H
#define DC_REPORT_COMPARE_INTERNAL_H

#include "report/compare.h"

const char *dc__text_of(const json_t *object, const char *key);  // "-": there is none
// Accuracies in percent, differences of them in points, other figures as they are, in 4 digits
// behind the point or as many as 7 columns have room for; sign: also of what is above 0.
const char *dc__figure(char text[24], const json_t *value, const char *measure, bool sign);
// The figure that an entry of the comparison is about, as people call it.
const char *dc__measure_title(const json_t *entry);
char dc__group_letter(json_int_t group);
// The value of a run, where the run is of this group (-1: any); else NULL.
const json_t *dc__own_value(const json_t *comparison, const json_t *values, size_t run, int group);
// "quantized, integers" of {stage, arithmetic}
void dc__place_name(char name[96], const json_t *place);

#endif
