// Owns what text becomes in HTML and SVG.

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "report/html.h"

// Bytes of the UTF-8 character at `text`, 0 where there is none: overlong forms, surrogates and
// what lies above U+10FFFF are none (RFC 3629).
static int utf8_length(const unsigned char *text)
{
    const unsigned char a = text[0], b = a ? text[1] : 0;
    const int length = a < 0x80 ? 1 : a < 0xc2 ? 0 : a < 0xe0 ? 2 : a < 0xf0 ? 3 : a < 0xf5 ? 4 : 0;
    for (int i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    const bool wrong = (a == 0xe0 && b < 0xa0) || (a == 0xed && b > 0x9f) ||
                       (a == 0xf0 && b < 0x90) || (a == 0xf4 && b > 0x8f);
    return wrong ? 0 : length;
}

static const char *entity(char c)
{
    switch (c) {
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '&':
        return "&amp;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

static void escape(struct dc_text_buffer *out, const char *text)
{
    for (size_t i = 0; text[i];) {
        size_t plain = i;
        int length = utf8_length((const unsigned char *)text + i);
        while (length > 0 && !entity(text[plain]) &&
               ((unsigned char)text[plain] >= 0x20 || text[plain] == '\n' || text[plain] == '\t') &&
               text[plain] != 0x7f && text[plain]) {
            plain += (size_t)length;
            length = utf8_length((const unsigned char *)text + plain);
        }
        if (plain > i) {
            dc_text_append(out, "%.*s", (int)(plain - i), text + i);
        } else {
            const char *name = entity(text[i]);
            dc_text_append(out, "%s", name ? name : "\xef\xbf\xbd");
            plain++;
        }
        i = plain;
    }
}

void dc_html_text(struct dc_text_buffer *out, const char *format, ...)
{
    char small[512], *text = small;
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    const int length = vsnprintf(small, sizeof small, format, arguments);
    va_end(arguments);
    if (length >= (int)sizeof small) {
        text = malloc((size_t)length + 1);
        if (text)
            vsnprintf(text, (size_t)length + 1, format, again);
    }
    va_end(again);
    out->failed = out->failed || length < 0 || !text;
    if (length >= 0 && text)
        escape(out, text);
    if (text != small)
        free(text);
}
