/* The progress bar and its quiet sibling. The bar lives on the last line of the terminal; log lines ask it, through
 * the log's hook, to step aside. */
#include "exaconn/progress.h"
#include "exaconn/clock.h"
#include "exaconn/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct exa_progress {
    bool terminal;
    double interval_s, began, next_draw, next_report;
    exa_progress_report *report;
    void *context;
    char line[256]; /* the bar as last drawn */
};

const char *exa_format_duration(double seconds, char out[32]) {
    long s = seconds < 0 ? 0 : (long)(seconds + 0.5);
    if (s >= 3600) {
        snprintf(out, 32, "%ld h %02ld min", s / 3600, s % 3600 / 60);
    } else if (s >= 60) {
        snprintf(out, 32, "%ld min %02ld s", s / 60, s % 60);
    } else {
        snprintf(out, 32, "%ld s", s);
    }
    return out;
}

double exa_progress_fraction(const exa_progress_state *s) {
    double by_seeds = s->seeds > 0 ? (double)s->seeds_done / (double)s->seeds : 0.0;
    double by_steps = s->steps_expected > 0 ? (double)s->steps / s->steps_expected : 0.0;

    if (s->chunks > 0) return (double)s->chunks_done / (double)s->chunks;
    if (by_steps > 0.95) by_steps = 0.95;
    return by_seeds > by_steps ? by_seeds : by_steps;
}

double exa_progress_eta(const exa_progress_state *state, double elapsed_s) {
    double done = exa_progress_fraction(state);
    int64_t now = state->chunks_done - state->chunks_resumed;

    if (state->chunks > 0)
        return now > 0 ? elapsed_s * (double)(state->chunks - state->chunks_done) / (double)now : -1.0;
    return done > 0.0 ? elapsed_s * (1.0 - done) / done : -1.0;
}

static void erase(const exa_progress *p) {
    if (p->line[0]) fprintf(stderr, "\r\033[K");
}

static void log_hook(bool before, void *context) {
    exa_progress *p = context;
    if (before) {
        erase(p);
    } else if (p->line[0]) {
        fprintf(stderr, "%s", p->line);
    }
}

exa_status exa_progress_create(double interval_s, exa_progress_report *report, void *context, exa_progress **out) {
    exa_progress *p = calloc(1, sizeof *p);

    EXA_CHECK(p, EXA_ERR_MEMORY, "cannot allocate a progress bar");
    p->terminal = isatty(STDERR_FILENO) && getenv("NO_PROGRESS_BAR") == NULL;
    p->interval_s = interval_s > 0 ? interval_s : 10.0;
    p->began = exa_clock_now();
    p->next_report = p->began + p->interval_s;
    p->report = report;
    p->context = context;
    if (p->terminal) exa_log_set_hook(log_hook, p);
    *out = p;
    return EXA_OK;
}

/* What matters most comes first: a narrow terminal cuts the end off. */
static void format_state(const exa_progress_state *s, double elapsed, char *out, size_t size) {
    double eta = exa_progress_eta(s, elapsed), rate = elapsed > 0 ? (double)s->steps / elapsed : 0.0;
    double filled = s->voxels > 0 ? 100.0 * (double)s->voxels_filled / (double)s->voxels : 0.0;
    char left[32] = "unknown";

    if (eta >= 0) exa_format_duration(eta, left);
    if (s->chunks > 0) {
        int n = snprintf(out, size, "left ~%s | chunks %lld/%lld", left, (long long)s->chunks_done,
                         (long long)s->chunks);
        if (s->steps > 0 && n > 0 && (size_t)n < size)
            snprintf(out + n, size - (size_t)n, " | %.1f steps/s | objects %lld | steps %lld", rate,
                     (long long)s->objects, (long long)s->steps);
        return;
    }
    snprintf(out, size,
             "left ~%s | %.1f steps/s | filled %.1f %%, %.0f kvox/s | objects %lld | steps %lld | seeds %lld/%lld",
             left, rate, filled, elapsed > 0 ? (double)s->voxels_filled / elapsed / 1e3 : 0.0,
             (long long)s->objects, (long long)s->steps, (long long)s->seeds_done, (long long)s->seeds);
}

static void draw_bar(exa_progress *p, const exa_progress_state *s, double elapsed) {
    enum { CELLS = 12 };
    char text[200], bar[CELLS + 1];
    struct winsize size = {0};
    double done = exa_progress_fraction(s);
    int filled = (int)(done * CELLS), width = 120;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) width = size.ws_col;
    for (int i = 0; i < CELLS; i++) bar[i] = i < filled ? '#' : '.';
    bar[CELLS] = 0;
    format_state(s, elapsed, text, sizeof text);
    snprintf(p->line, sizeof p->line, "[%s] %3.0f %% %s", bar, 100.0 * done, text);
    if ((int)strlen(p->line) >= width) p->line[width > 1 ? width - 1 : 0] = 0;
    fprintf(stderr, "\r\033[K%s", p->line);
}

void exa_progress_update(exa_progress *p, const exa_progress_state *state) {
    double t = exa_clock_now(), elapsed = t - p->began;
    char text[200];

    if (p->terminal && t >= p->next_draw) {
        draw_bar(p, state, elapsed);
        p->next_draw = t + 0.1;
    }
    if (t < p->next_report) return;
    p->next_report = t + p->interval_s;
    if (!p->terminal) {
        format_state(state, elapsed, text, sizeof text);
        EXA_INFO("%s", text);
    }
    if (p->report) p->report(state, elapsed, exa_progress_eta(state, elapsed), p->context);
}

void exa_progress_destroy(exa_progress **progress) {
    exa_progress *p = *progress;

    if (!p) return;
    if (p->terminal) {
        exa_log_set_hook(NULL, NULL);
        erase(p);
    }
    free(p);
    *progress = NULL;
}
