/* Optimal string alignment distance, three rows of the usual table. */
#include "exaconn/suggest.h"

#include <ctype.h>
#include <limits.h>
#include <string.h>

#define MAX_NAME 63

static int fold(char c) {
    return c == '_' ? '-' : tolower((unsigned char)c);
}

static int least(int a, int b, int c) {
    int ab = a < b ? a : b;
    return ab < c ? ab : c;
}

int exa_suggest_distance(const char *a, const char *b) {
    int table[3][MAX_NAME + 1];
    size_t na = strlen(a), nb = strlen(b);

    if (na > MAX_NAME || nb > MAX_NAME) return INT_MAX;
    for (size_t j = 0; j <= nb; j++) table[0][j] = (int)j;
    for (size_t i = 1; i <= na; i++) {
        int *row = table[i % 3];
        const int *above = table[(i + 2) % 3], *above2 = table[(i + 1) % 3];
        row[0] = (int)i;
        for (size_t j = 1; j <= nb; j++) {
            int same = fold(a[i - 1]) == fold(b[j - 1]);
            row[j] = least(above[j] + 1, row[j - 1] + 1, above[j - 1] + !same);
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) && fold(a[i - 2]) == fold(b[j - 1]) &&
                above2[j - 2] + 1 < row[j]) {
                row[j] = above2[j - 2] + 1;
            }
        }
    }
    return table[na % 3][nb];
}

/* "seg" for "segmentation": an abbreviation is meant even if far away in letters. */
static int continues(const char *name, const char *word) {
    size_t i = 0;

    while (word[i] && name[i] && fold(word[i]) == fold(name[i])) i++;
    return i >= 3 && word[i] == 0;
}

const char *exa_suggest(const char *word, const char *const *names, size_t count) {
    const char *best = NULL, *longer = NULL;
    int best_distance = INT_MAX;

    for (size_t i = 0; i < count; i++) {
        int distance = exa_suggest_distance(word, names[i]);
        if (distance < best_distance) {
            best_distance = distance;
            best = names[i];
        }
        if (!longer && continues(names[i], word)) longer = names[i];
    }
    if (best) {
        size_t letters = strlen(best) > strlen(word) ? strlen(best) : strlen(word);
        int allowed = letters < 6 ? (letters > 3 ? 2 : 1) : (int)(letters / 3);
        if (best_distance <= allowed) return best;
    }
    return longer;
}
