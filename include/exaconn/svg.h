/* Drawings as SVG: text that grows, with one palette for light and dark screens. Coordinates are pixels, y
 * downward.
 *
 * Classes: ink, soft (text); grid, axis (lines); c0 ... c3 (fill of a series), s0 ... s3 (its stroke); l1 ... l7
 * (levels of a heat map, from little to much); halo (in the colour of the ground).
 */
#ifndef EXACONN_SVG_H
#define EXACONN_SVG_H

#include "exaconn/json.h"
#include "exaconn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EXA_SVG_SERIES 4
#define EXA_SVG_LEVELS 7

typedef struct exa_svg {
    exa_json_text text; /* owned until exa_svg_write */
    double width, height;
} exa_svg;

/* `title` is drawn, too, and `subtitle` under it. */
void exa_svg_begin(exa_svg *svg, double width, double height, const char *title, const char *subtitle);

/* The text is escaped. `anchor` is start, middle or end. */
void exa_svg_label(exa_svg *svg, double x, double y, const char *classes, const char *anchor, const char *format,
                   ...) __attribute__((format(printf, 6, 7)));
void exa_svg_line(exa_svg *svg, double x1, double y1, double x2, double y2, const char *classes);
void exa_svg_circle(exa_svg *svg, double x, double y, double radius, const char *classes);

/* Atomically. Ends the drawing, whether it succeeds or not. */
exa_status exa_svg_write(exa_svg *svg, const char *folder, const char *name);

#ifdef __cplusplus
}
#endif
#endif
