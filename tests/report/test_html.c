// Escaping, byte by byte.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "report/html.h"

#define REPLACED "\xef\xbf\xbd"

static const struct {
    const char *text, *html;
} cases[] = {
    {"", ""},
    {"plain text, 5 % of it\n\tmore", "plain text, 5 % of it\n\tmore"},
    {"<a href=\"x\" b='y'>&amp;</a>",
     "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;amp;&lt;/a&gt;"},
    {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
    {"\x01\x1b[31m\x7f", REPLACED REPLACED "[31m" REPLACED},
    {"\xff\xfe", REPLACED REPLACED},
    {"\xc0\xbc", REPLACED REPLACED},                            // an overlong '<'
    {"\xe0\x80\xbc", REPLACED REPLACED REPLACED},               // and another
    {"\xed\xa0\x80", REPLACED REPLACED REPLACED},               // a surrogate
    {"\xf4\x90\x80\x80", REPLACED REPLACED REPLACED REPLACED},  // above U+10FFFF
    {"a\xe2\x82", "a" REPLACED REPLACED},                       // cut off
    {"\xc3<", REPLACED "&lt;"},                                 // what follows is not swallowed
    {"\xf0\x9f\x98\"", REPLACED REPLACED REPLACED "&quot;"},
};

static void text_is_escaped(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dc_text_buffer out = {0};
        dc_text_append(&out, "[");
        dc_html_text(&out, "%s", cases[i].text);
        char want[256];
        snprintf(want, sizeof want, "[%s", cases[i].html);
        assert_false(out.failed);
        assert_string_equal(out.text, want);
        dc_text_free(&out);
    }
}

// Longer than any buffer, and formatted.
static void long_text(void **state)
{
    (void)state;
    static char text[5001];
    struct dc_text_buffer out = {0};
    memset(text, '<', sizeof text - 1);
    dc_html_text(&out, "%d%s", 7, text);
    assert_int_equal(out.length, 1 + 4 * 5000);
    assert_memory_equal(out.text, "7&lt;&lt;", 9);
    dc_text_free(&out);
}

// RFC 4648, section 10.
static void base64(void **state)
{
    (void)state;
    static const char *const vectors[][2] = {{"", ""},
                                             {"f", "Zg=="},
                                             {"fo", "Zm8="},
                                             {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="},
                                             {"fooba", "Zm9vYmE="},
                                             {"foobar", "Zm9vYmFy"},
                                             {"\xff\xef\xbe", "/+++"}};
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct dc_text_buffer out = {0};
        dc_html_base64(&out, (const unsigned char *)vectors[i][0], strlen(vectors[i][0]));
        assert_string_equal(out.text ? out.text : "", vectors[i][1]);
        dc_text_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_escaped),
        cmocka_unit_test(long_text),
        cmocka_unit_test(base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
