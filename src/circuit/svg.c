/* Colours stand in a style sheet twice, as some viewers know no variables: once for light, once for dark screens.
 */
#include "exaconn/svg.h"

#include "exaconn/file.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char style[] =
    "<style>\n"
    "text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;font-size:13px}\n"
    ".title{font-size:17px;font-weight:600}.small{font-size:11px}.strong{font-weight:600}\n"
    ".number{font-variant-numeric:tabular-nums}\n"
    ".line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}.thin{stroke-width:1.2}\n"
    ".dash{stroke-dasharray:5 4}\n"
    ".ground,.halo{fill:#fff}.ink{fill:#1b1f27}.soft{fill:#5f6775}\n"
    ".grid{stroke:#e6e8ec;stroke-width:1}.axis{stroke:#8a919d;stroke-width:1;fill:none}.band{fill:#f2f3f6}\n"
    ".c0{fill:#2a6fdb}.c1{fill:#c2700a}.c2{fill:#0d9373}.c3{fill:#b0408f}\n"
    ".s0{stroke:#2a6fdb}.s1{stroke:#c2700a}.s2{stroke:#0d9373}.s3{stroke:#b0408f}\n"
    ".edge{stroke:#1b1f27;stroke-width:1.6;fill:none}.head,.node{fill:#1b1f27}\n"
    ".l1{fill:#dbe8fb}.l2{fill:#b3cff6}.l3{fill:#84b0ee}.l4{fill:#548de0}.l5{fill:#2f6bc9}.l6{fill:#1c4d9e}"
    ".l7{fill:#10316c}\n"
    "@media(prefers-color-scheme:dark){\n"
    ".ground,.halo{fill:#14171c}.ink{fill:#e8eaee}.soft{fill:#9aa3b0}\n"
    ".grid{stroke:#2a2f38}.axis{stroke:#6b7482}.band{fill:#1c2027}\n"
    ".c0{fill:#6aa5ff}.c1{fill:#f0a24a}.c2{fill:#3ec9a0}.c3{fill:#e07fc4}\n"
    ".s0{stroke:#6aa5ff}.s1{stroke:#f0a24a}.s2{stroke:#3ec9a0}.s3{stroke:#e07fc4}\n"
    ".edge{stroke:#e8eaee}.head,.node{fill:#e8eaee}\n"
    ".l1{fill:#1c2b45}.l2{fill:#213d6b}.l3{fill:#275297}.l4{fill:#356dc4}.l5{fill:#5a93e6}.l6{fill:#92bcf7}"
    ".l7{fill:#d3e4ff}\n"
    "}\n</style>\n";

static void add_escaped(exa_svg *svg, const char *text) {
    for (; *text; text++) {
        switch (*text) {
        case '&': exa_json_text_add(&svg->text, "&amp;"); break;
        case '<': exa_json_text_add(&svg->text, "&lt;"); break;
        case '>': exa_json_text_add(&svg->text, "&gt;"); break;
        default: exa_json_text_add(&svg->text, "%c", *text);
        }
    }
}

void exa_svg_begin(exa_svg *svg, double width, double height, const char *title, const char *subtitle) {
    *svg = (exa_svg){.width = width, .height = height};
    exa_json_text_add(&svg->text,
                      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" "
                      "height=\"%.0f\" role=\"img\">\n<title>",
                      width, height, width, height);
    add_escaped(svg, title);
    exa_json_text_add(&svg->text, "</title>\n%s<rect class=\"ground\" width=\"100%%\" height=\"100%%\"/>\n", style);
    exa_svg_label(svg, 24, 34, "title ink", "start", "%s", title);
    exa_svg_label(svg, 24, 55, "soft", "start", "%s", subtitle);
}

void exa_svg_label(exa_svg *svg, double x, double y, const char *classes, const char *anchor, const char *format,
                   ...) {
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    exa_json_text_add(&svg->text, "<text x=\"%.2f\" y=\"%.2f\" class=\"%s\" text-anchor=\"%s\">", x, y, classes,
                      anchor);
    add_escaped(svg, text);
    exa_json_text_add(&svg->text, "</text>\n");
}

void exa_svg_line(exa_svg *svg, double x1, double y1, double x2, double y2, const char *classes) {
    exa_json_text_add(&svg->text, "<line x1=\"%.2f\" y1=\"%.2f\" x2=\"%.2f\" y2=\"%.2f\" class=\"%s\"/>\n", x1, y1,
                      x2, y2, classes);
}

void exa_svg_circle(exa_svg *svg, double x, double y, double radius, const char *classes) {
    exa_json_text_add(&svg->text, "<circle cx=\"%.2f\" cy=\"%.2f\" r=\"%.2f\" class=\"%s\"/>\n", x, y, radius,
                      classes);
}

exa_status exa_svg_write(exa_svg *svg, const char *folder, const char *name) {
    char path[EXA_PATH_BYTES], *text = NULL;
    exa_status st;

    exa_json_text_add(&svg->text, "</svg>\n");
    EXA_TRY(exa_json_text_take(&svg->text, &text));
    st = exa_path_join(path, folder, name);
    if (st == EXA_OK) st = exa_file_write_atomic(path, text, strlen(text));
    free(text);
    return st;
}
