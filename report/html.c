// Owns the frame and style of a page.

#include "report/html.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/drawing.h"

void dc_html_base64(struct dc_text_buffer *out, const unsigned char *bytes, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        const uint32_t group = (uint32_t)bytes[i] << 16 |
                               (i + 1 < size ? (uint32_t)bytes[i + 1] << 8 : 0) |
                               (i + 2 < size ? bytes[i + 2] : 0);
        dc_text_append(out, "%c%c%c%c", digits[group >> 18], digits[group >> 12 & 63],
                       i + 1 < size ? digits[group >> 6 & 63] : '=',
                       i + 2 < size ? digits[group & 63] : '=');
    }
}

static const char style[] =
    "*{box-sizing:border-box}html{color-scheme:light dark}"
    "body{margin:0;background:var(--page);color:var(--text);font:16px/1.5 system-ui,-apple-system,"
    "\"Segoe UI\",Roboto,\"Noto Sans\",sans-serif}\n"
    "header,main,footer{max-width:74rem;margin:0 auto;padding:0 1.25rem}"
    "header{padding-top:2rem}h1{font-size:1.75rem;line-height:1.2;margin:.2rem 0 .6rem}"
    "h2{font-size:1.25rem;margin:2.8rem 0 .4rem;padding-top:1rem;border-top:1px solid var(--grid)}"
    "h3{font-size:1rem;margin:1.6rem 0 .4rem}p{max-width:46rem;margin:.5rem 0}"
    ".lead{font-size:1.1rem}.kind,.note,figcaption{color:var(--muted)}"
    ".kind{font-size:.85rem;margin:0}.note,figcaption{font-size:.875rem}\n"
    "a{color:var(--s0)}:focus-visible{outline:2px solid var(--s0);outline-offset:2px}"
    ".skip{position:absolute;left:-99rem}.skip:focus{left:1rem;top:.5rem}"
    "nav ul{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;padding:0;margin:1.2rem 0 0;"
    "list-style:none;font-size:.9rem}nav a{display:inline-block;padding:.35rem 0}\n"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(10.5rem,1fr));gap:1px;"
    "margin:1.4rem 0 0}"
    ".tiles div{box-shadow:0 0 0 1px var(--grid);padding:.7rem .9rem}.tiles dt{color:var(--muted);"
    "font-size:.85rem}.tiles dd{margin:0;font-size:1.35rem;font-variant-numeric:tabular-nums}"
    ".tiles dd small{display:block;font-size:.8rem;color:var(--muted)}\n"
    ".scroll{overflow-x:auto;margin:.8rem 0}table{border-collapse:collapse;"
    "font-variant-numeric:tabular-nums;font-size:.9rem}"
    "th,td{padding:.3rem .75rem;text-align:right;white-space:nowrap;border-bottom:1px solid "
    "var(--grid)}thead th{font-weight:600;color:var(--muted);vertical-align:bottom}"
    "th:first-child,td:first-child{text-align:left;padding-left:0}th[scope=row]{font-weight:600;"
    "position:sticky;left:0;background:var(--page)}"
    "th.t,td.t{text-align:left}td.t{white-space:normal;min-width:8rem}td "
    "small{color:var(--muted)}\n"
    ".two{grid-template-columns:repeat(auto-fit,minmax(min(100%,27rem),1fr))!important}"
    ".plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,21rem),1fr));"
    "gap:1rem 1.6rem;align-items:start}.wide{grid-column:1/-1}figure{margin:.6rem 0;min-width:0}"
    "figure svg{display:block;max-width:100%;height:auto;font-family:inherit}"
    "figcaption b{color:var(--text)}\n"
    ".images{display:flex;flex-wrap:wrap;gap:.9rem;padding:0;list-style:none;margin:.6rem 0}"
    ".images li{width:8rem;font-size:.8rem;line-height:1.35;overflow-wrap:anywhere}"
    ".images img{display:block;width:64px;height:64px;object-fit:contain;margin-bottom:.3rem;"
    "image-rendering:pixelated;border:1px solid var(--grid)}\n"
    ".missing{border-left:3px solid var(--bad);padding:.3rem .8rem;margin:.8rem 0}"
    ".good{color:var(--good)}.bad{color:var(--bad)}"
    "details{margin:.6rem 0}summary{cursor:pointer;padding:.3rem 0}"
    "pre{overflow-x:auto;font-size:.8rem;line-height:1.45;padding:.8rem;border:1px solid "
    "var(--grid)}footer{margin-top:3rem;padding-bottom:2rem;color:var(--muted);font-size:.85rem}\n"
    "@media print{nav,.skip{display:none}h2{break-after:avoid}figure{break-inside:avoid}}\n";

void dc_html_begin(struct dc_text_buffer *out, const char *mark, const char *title)
{
    dc_text_append(out,
                   "<!doctype html>\n<!-- %s -->\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                   "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
                   "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                   "img-src data:; style-src 'unsafe-inline'\">\n<title>",
                   mark);
    dc_html_text(out, "%s", title);
    dc_text_append(out, "</title>\n<style>\n");
    dc_drawing_style(out);
    dc_text_append(out,
                   "%s</style></head>\n<body><a class=\"skip\" href=\"#main\">to the "
                   "content</a>\n",
                   style);
}

void dc_html_end(struct dc_text_buffer *out)
{
    dc_text_append(out, "</body></html>\n");
}

void dc_html_table_begin(struct dc_text_buffer *out, const char *caption)
{
    // the words stand outside, where they wrap, and not in a caption, which scrolls with the table
    dc_text_append(out, "<p class=\"note\">");
    dc_html_text(out, "%s", caption);
    dc_text_append(out, "</p><div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"");
    dc_html_text(out, "%s", caption);
    dc_text_append(out, "\"><table>\n");
}

void dc_html_table_end(struct dc_text_buffer *out)
{
    dc_text_append(out, "</table></div>\n");
}
