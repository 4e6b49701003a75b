// What a run says: lines of progress for people, and log.txt, which keeps what was said.
//
// log.txt is appended to by every start: what a kill took back was said all the same, so resume
// cuts nothing out of it. Each line has its time, ISO 8601 in UTC; further lines of a message are
// indented below it. It is also the directory's lock (run/directory.c).

#ifndef DC_RUN_LOG_H
#define DC_RUN_LOG_H

#include "run/run.h"

// Pieces of one line of progress, joined by two blanks. Where they are wider than `columns`, those
// of the highest `rank` go first; what is left of rank 0 is cut. columns 0: as wide as it gets.
struct dc_piece {
    int rank;
    char text[80];
};
enum { DC_PIECES_MAX = 8, DC_LINE_MAX = 512 };
void dc_join_pieces(char line[DC_LINE_MAX], const struct dc_piece *pieces, int count, int columns);

// "1h02m", "2m03s".
const char *dc_duration_text(char text[32], double seconds);

// The line of a finished epoch: stage, epoch, loss, accuracies, time spent and left.
void dc_epoch_line(char line[DC_LINE_MAX], const struct dc_progress *progress, int columns);

// Opens log.txt for appending, behind its title. It is the directory's lock, which the system frees
// when the process ends, however it ends: DC_ERR_USAGE where another process has it.
DC_MUST_USE enum dc_status dc__log_open(struct dc_run *run, const char *title,
                                        struct dc_error *error);
void dc__log_close(struct dc_run *run);
// To log.txt alone. What is said before it is open is kept until then.
void dc__log_line(struct dc_run *run, const char *text);
// Sinks and hooks that keep what they pass on; `user` is the run.
void dc__log_sink(void *user, enum dc_log_level level, const char *line);
void dc__log_progress(void *user, const struct dc_progress *progress);
void dc__log_stage(struct dc_run *run, const struct dc_stage *stage, const char *what);

#endif
