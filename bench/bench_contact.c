/* Contacts of a segmentation in memory: dense numbers, faces counted, sites found.
 *
 *   bench_contact VOLUME [--threads N] [--repeat R] [--csv FILE]
 *
 * The volume is cut into slabs along z, each a chunk; threads take slabs in turn. What is timed begins with labels
 * of 64 bits in memory; reading the file is not timed. The sums of all slabs must be the faces of the sites found,
 * and
 * --csv writes the counts of each pair for a comparison with another program (bench/compare_numpy_contacts.py).
 * Columns: docs/benchmarks.md. */
#include "bench_util.h"

#include "exaconn/contact.h"
#include "exaconn/label_index.h"
#include "exaconn/pool.h"
#include "exaconn/volume.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SLABS = 8 };

typedef enum stage { NUMBERS, COUNT, SITES } stage;

typedef struct slab {
    exa_contact_chunk chunk;
    exa_label_index *index;
    uint32_t *labels;
    exa_contact *contacts;
    size_t count;
    uint64_t site_faces;
} slab;

typedef struct bench {
    exa_segid *ids; /* of the volume */
    exa_coord shape[3];
    slab slabs[SLABS];
    stage stage;
} bench;

static void need(exa_status st) {
    if (st == EXA_OK) return;
    fprintf(stderr, "bench_contact: %s\n", exa_error_last()->message);
    exit(1);
}

static void load(bench *b, const char *name) {
    exa_volume *v;
    exa_volume_info info;
    exa_box all = {{0, 0, 0}, {0, 0, 0}};
    int64_t voxels;

    need(exa_volume_open(name, &v));
    need(exa_volume_get_info(v, &info));
    memcpy(b->shape, info.shape, sizeof b->shape);
    memcpy(all.shape, info.shape, sizeof all.shape);
    need(exa_box_voxels(&all, &voxels));
    need(exa_alloc((size_t)voxels, sizeof *b->ids, "the volume", &b->ids));
    need(exa_volume_read(v, &all, EXA_U64, b->ids));
    exa_volume_close(&v);
    for (int i = 0; i < SLABS; i++) {
        slab *s = &b->slabs[i];
        exa_coord from = b->shape[0] * i / SLABS, to = b->shape[0] * (i + 1) / SLABS;
        s->chunk = (exa_contact_chunk){.core = {{from, 0, 0}, {to - from, b->shape[1], b->shape[2]}}};
        s->chunk.box = s->chunk.core;
        s->chunk.box.shape[0] += to < b->shape[0];
        need(exa_alloc((size_t)(s->chunk.box.shape[0] * b->shape[1] * b->shape[2]), sizeof *s->labels, "a slab",
                       &s->labels));
        s->chunk.labels = s->labels;
        need(exa_label_index_create(EXA_ISA_AUTO, &s->index));
    }
}

/* Of all threads: what a busy machine does not spoil. */
static double cpu_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void find_sites(slab *s) {
    exa_contact_faces own = {0}, seen = {0};
    exa_contact_site *sites;
    size_t n;

    need(exa_contact_sites(&s->chunk, &sites, &n, &own, &seen));
    s->site_faces = 0;
    for (size_t i = 0; i < n; i++) s->site_faces += sites[i].faces[0] + sites[i].faces[1] + sites[i].faces[2];
    free(sites);
    free(own.list);
    free(seen.list);
}

static void work(void *context, size_t i, int member) {
    bench *b = context;
    slab *s = &b->slabs[i];
    const size_t plane = (size_t)(b->shape[1] * b->shape[2]);
    size_t n;

    (void)member;
    if (b->stage == NUMBERS) {
        exa_label_index_clear(s->index);
        need(exa_label_index_apply(s->index, b->ids + (size_t)s->chunk.box.start[0] * plane,
                                   (size_t)s->chunk.box.shape[0] * plane, s->labels));
        s->chunk.ids = exa_label_index_ids(s->index, &n);
    } else if (b->stage == COUNT) {
        free(s->contacts);
        need(exa_contact_count(&s->chunk, &s->contacts, &s->count));
    } else {
        find_sites(s);
    }
}

static void write_csv(const bench *b, const char *path) {
    FILE *f = fopen(path, "w");

    if (!f) need(EXA_FAIL(EXA_ERR_IO, "cannot create '%s'", path));
    for (int i = 0; i < SLABS; i++)
        for (size_t k = 0; k < b->slabs[i].count; k++) {
            const exa_contact *c = &b->slabs[i].contacts[k];
            fprintf(f, "%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\n", c->a, c->b, c->faces[0],
                    c->faces[1], c->faces[2]);
        }
    fclose(f);
}

int main(int argc, char **argv) {
    static const char *const names[] = {"numbers", "count", "sites"};
    int threads = atoi(bench_option(argc, argv, "--threads", "2")),
        repeat = atoi(bench_option(argc, argv, "--repeat", "7"));
    const char *csv = bench_option(argc, argv, "--csv", NULL);
    double seconds[3][64], cpu[3][64], voxels;
    uint64_t faces = 0, site_faces = 0;
    bench b = {0};
    exa_pool *pool;

    if (argc < 2 || repeat < 1 || repeat > 64 || threads < 1) {
        fprintf(stderr, "usage: bench_contact VOLUME [--threads N] [--repeat 1..64] [--csv FILE]\n");
        return 2;
    }
    load(&b, argv[1]);
    need(exa_pool_create(threads, false, &pool));
    voxels = (double)b.shape[0] * (double)b.shape[1] * (double)b.shape[2];
    for (int r = -1; r < repeat; r++) /* once to warm up */
        for (int s = 0; s < 3; s++) {
            double began = bench_now_s(), cpu_began = cpu_s();
            b.stage = (stage)s;
            exa_pool_for(pool, SLABS, work, &b);
            if (r < 0) continue;
            seconds[s][r] = bench_now_s() - began;
            cpu[s][r] = cpu_s() - cpu_began;
        }
    for (int i = 0; i < SLABS; i++) {
        site_faces += b.slabs[i].site_faces;
        for (size_t k = 0; k < b.slabs[i].count; k++)
            for (int a = 0; a < 3; a++) faces += b.slabs[i].contacts[k].faces[a];
    }
    if (faces != site_faces) need(EXA_FAIL(EXA_ERR_INTERNAL, "sites have other faces than were counted"));
    printf("%.0f voxels, %" PRIu64 " faces, %d threads, %s\n", voxels, faces, threads,
           exa_isa_name(exa_cpu_best_isa()));
    printf("%8s %10s %10s %10s %10s %10s %16s\n", "stage", "min_ms", "median_ms", "max_ms", "cpu_ms", "Gvoxel/s",
           "Gvoxel/s/core");
    for (int s = 0; s < 3; s++) {
        bench_stats t = bench_stats_of(seconds[s], repeat), c = bench_stats_of(cpu[s], repeat);
        printf("%8s %10.2f %10.2f %10.2f %10.2f %10.3f %16.3f\n", names[s], t.min * 1e3, t.median * 1e3,
               t.max * 1e3, c.median * 1e3, voxels / t.median * 1e-9, voxels / c.median * 1e-9);
    }
    if (csv) write_csv(&b, csv);
    return 0;
}
