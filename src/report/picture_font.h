/* A small font for captions: 5 x 7 pixels, capitals, digits and some signs. */
#ifndef EXA_PICTURE_FONT_H
#define EXA_PICTURE_FONT_H

#include <stdbool.h>

enum { EXA_FONT_WIDTH = 5, EXA_FONT_HEIGHT = 7, EXA_FONT_ADVANCE = 6 };

/* Is the pixel of the character set? Small letters look like capitals, unknown characters like '?'. */
bool exa_font_pixel(char c, int row, int column);

#endif
