/* How fast one core makes phantom voxels: boxes of 256^3 (or --size) at random places of a 10 EB volume.
 *
 *   bench_phantom [--size N] [--repeat R] [--isa auto|portable|avx2|avx512] [--spec PARAMETERS] [--json FILE]
 *
 * Each box is made as image, as labels, and as both; the three take turns, so that a change of the machine's load
 * meets all. Checked: image and labels made alone equal those made together. Columns: docs/benchmarks.md.
 */
#include "bench_util.h"

#include "exaconn/phantom.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_REPEAT = 1000, WAYS = 3 };

static void need(exa_status st) {
    if (st == EXA_OK) return;
    fprintf(stderr, "bench_phantom: %s\n", exa_error_last()->message);
    exit(1);
}

typedef struct voxels {
    uint8_t *image;
    exa_segid *labels;
} voxels;

static voxels make_voxels(size_t n) {
    voxels v;
    need(exa_alloc(n, 1, "an image", &v.image));
    need(exa_alloc(n, sizeof *v.labels, "labels", &v.labels));
    return v;
}

/* Box `i` of the run; far apart, so that nothing is reused. */
static exa_box place(const exa_phantom_options *o, int i, exa_coord size) {
    uint64_t state = (uint64_t)i + 1;
    exa_box box;
    for (int a = 0; a < 3; a++) {
        exa_coord room = o->shape[a] - size;
        box.start[a] = (exa_coord)((0.5 + 0.5 * (double)bench_random(&state)) * (double)room);
        box.shape[a] = size;
    }
    return box;
}

int main(int argc, char **argv) {
    const char *json = bench_option(argc, argv, "--json", NULL);
    const char *spec = bench_option(argc, argv, "--spec", "seed=1,shape=2000000x2000000x2500000");
    exa_coord size = atoll(bench_option(argc, argv, "--size", "256"));
    int repeat = atoi(bench_option(argc, argv, "--repeat", "12"));
    exa_isa isa = bench_isa(bench_option(argc, argv, "--isa", "auto"));
    static const char *const names[WAYS] = {"image", "labels", "both"};
    static double seconds[WAYS][MAX_REPEAT];
    exa_phantom_options o;
    exa_phantom_part part;
    exa_phantom *p = NULL;
    char name[1100];
    FILE *f = NULL;

    if (size < 1 || size > 2048 || repeat < 1 || repeat > MAX_REPEAT) {
        fprintf(stderr, "usage: bench_phantom [--size 1..2048] [--repeat 1..%d] [--isa NAME] [--spec PARAMETERS]\n",
                MAX_REPEAT);
        return 2;
    }
    snprintf(name, sizeof name, "phantom:%s", spec);
    need(exa_phantom_parse(name, &o, &part));
    need(exa_phantom_create(&o, isa, &p));
    size_t n = (size_t)(size * size * size);
    voxels alone = make_voxels(n), both = make_voxels(n);
    exa_box warm = place(&o, MAX_REPEAT, size);
    need(exa_phantom_read(p, &warm, both.image, both.labels));
    for (int i = 0; i < repeat; i++) {
        exa_box box = place(&o, i, size);
        for (int way = 0; way < WAYS; way++) {
            const exa_box far =
                place(&o, MAX_REPEAT + 1 + i, 1); /* so that no block is left from the turn before */
            uint8_t one;
            need(exa_phantom_read(p, &far, &one, NULL));
            double began = bench_now_s();
            need(exa_phantom_read(p, &box,
                                  way == 0   ? alone.image
                                  : way == 2 ? both.image
                                             : NULL,
                                  way == 1   ? alone.labels
                                  : way == 2 ? both.labels
                                             : NULL));
            seconds[way][i] = bench_now_s() - began;
        }
        if (memcmp(alone.image, both.image, n) != 0 || memcmp(alone.labels, both.labels, n * sizeof *both.labels)) {
            fprintf(stderr, "bench_phantom: voxels made alone differ from those made together\n");
            return 1;
        }
    }
    printf("phantom, boxes of %lld^3 at random places, one thread, %s, %s\n", (long long)size,
           exa_isa_name(isa == EXA_ISA_AUTO ? exa_cpu_best_isa() : isa), exa_cpu_model());
    printf("%8s %12s %12s %12s\n", "what", "min_mvox_s", "mvox_s", "max_mvox_s");
    if (json && !(f = fopen(json, "w"))) {
        perror(json);
        return 1;
    }
    if (f)
        fprintf(f, "{\"bench\": \"phantom\", \"cpu\": \"%s\", \"isa\": \"%s\", \"size\": %lld, \"repeat\": %d",
                exa_cpu_model(), exa_isa_name(isa == EXA_ISA_AUTO ? exa_cpu_best_isa() : isa), (long long)size,
                repeat);
    for (int way = 0; way < WAYS; way++) {
        bench_stats s = bench_stats_of(seconds[way], repeat);
        double m = 1e-6 * (double)n;
        printf("%8s %12.1f %12.1f %12.1f\n", names[way], m / s.max, m / s.median, m / s.min);
        if (f)
            fprintf(f, ", \"%s_mvox_s\": {\"min\": %.2f, \"median\": %.2f, \"max\": %.2f}", names[way], m / s.max,
                    m / s.median, m / s.min);
    }
    if (f) {
        fprintf(f, "}\n");
        fclose(f);
    }
    exa_phantom_destroy(&p);
    free(alone.image);
    free(alone.labels);
    free(both.image);
    free(both.labels);
    return 0;
}
