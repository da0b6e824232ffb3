/* "Did you mean ...?": the known name nearest to a misspelt one. */
#ifndef EXACONN_SUGGEST_H
#define EXACONN_SUGGEST_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Insertions, deletions, substitutions and swaps of neighbours between two names (upper and lower case are the
 * same,
 * '-' and '_' too); names beyond 63 characters count as far apart. */
int exa_suggest_distance(const char *a, const char *b);

/* The nearest of `names`, the first among equals; NULL where none is near enough to be meant (a third of the
 * letters, at least one), and no name continues the word. Borrowed from `names`. */
const char *exa_suggest(const char *word, const char *const *names, size_t count);

#ifdef __cplusplus
}
#endif
#endif
