// Pieces of HTML. Whatever came from a file goes through dc_html_text.

#ifndef DC_REPORT_HTML_H
#define DC_REPORT_HTML_H

#include <stddef.h>

#include "core/schema.h"

// The formatted text, escaped: < > & " ' become entities, bytes that are no UTF-8 and control
// characters other than newline and tab become U+FFFD.
void dc_html_text(struct dc_text_buffer *out, const char *format, ...) DC_PRINTF(2, 3);

void dc_html_base64(struct dc_text_buffer *out, const unsigned char *bytes, size_t size);

// Everything up to the page's first own element; `end` closes it. title: escaped here. mark: a
// comment behind the doctype, which tells Decant's files from others'.
void dc_html_begin(struct dc_text_buffer *out, const char *mark, const char *title);
void dc_html_end(struct dc_text_buffer *out);

// A table in a region that scrolls by itself; caption: escaped here. Rows are the caller's.
void dc_html_table_begin(struct dc_text_buffer *out, const char *caption);
void dc_html_table_end(struct dc_text_buffer *out);

#endif
