// The report of a run: RUN/report.html, one file that loads nothing, its figures as PNG in
// RUN/plots, a model card (card.h) and TensorBoard's event files (events.h).
//
// Made of what the directory records, and of the run's networks asked again on its test split
// (measures.h): seconds of networks for microcontrollers. What cannot be said is said to be
// missing, on the page. A run may be reported before it is done.

#ifndef DC_REPORT_WRITE_H
#define DC_REPORT_WRITE_H

#include "run/run.h"

// Replaces a report that Decant wrote; another's file or folder there is DC_ERR_USAGE. Damaged
// records are DC_ERR_DATA with file and line.
DC_MUST_USE enum dc_status dc_write_report(struct dc_run *run, struct dc_error *error);
// Whether there is a report at least as new as the results.
bool dc_report_is_current(const struct dc_run *run);

#endif
