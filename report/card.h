// A model card: RUN/model-card.md, Markdown with the front matter of Hugging Face's model cards
// (https://huggingface.co/docs/hub/model-cards), so that a network can be published with what was
// measured of it. What a run cannot know (who should use it, its licence) is left to its author, in
// words that say so.

#ifndef DC_REPORT_CARD_H
#define DC_REPORT_CARD_H

#include "report/page.h"

// Needs the page's run, environment and measures alone.
void dc_model_card(struct dc_text_buffer *out, const struct dc_page *page);

// Whether a card is as dc_model_card made it: an author's words are not replaced.
bool dc_card_is_decants(const char *text, size_t size);

// Text from files in Markdown: punctuation that means something is escaped, line ends are blanks.
void dc_markdown_text(struct dc_text_buffer *out, const char *text);

#endif
