/* Contacts and their sites against counting voxel by voxel; cut into chunks anyhow, they are those of the whole;
 * all instruction sets agree; dense numbers of ids of any size. */
#include "test_util.h"

#include "exaconn/chunk_grid.h"
#include "exaconn/contact.h"
#include "exaconn/contact_row.h"
#include "exaconn/label_index.h"
#include "exaconn/union_find.h"

enum { MOST = 24 }; /* voxels on an axis */

typedef struct tissue {
    exa_box box;
    exa_segid id[MOST * MOST * MOST];
} tissue;

/* Blobs and dust: each voxel mostly takes over a neighbour's label. Ids are spread over 64 bits. */
static void make_tissue(tissue *t, uint64_t *seed, int labels) {
    const exa_coord *n = t->box.shape;
    for (int a = 0; a < 3; a++) {
        t->box.start[a] = (exa_coord)(test_random(seed) % 3) * 1000;
        t->box.shape[a] = 1 + (exa_coord)(test_random(seed) % MOST);
    }
    for (exa_coord z = 0, i = 0; z < n[0]; z++)
        for (exa_coord y = 0; y < n[1]; y++)
            for (exa_coord x = 0; x < n[2]; x++, i++) {
                uint64_t label = test_random(seed) % (uint64_t)labels, way = test_random(seed) % 8;
                t->id[i] = label * 0x9E3779B97F4A7C15u;
                if (way < 3 && x > 0) t->id[i] = t->id[i - 1];
                if (way >= 3 && way < 5 && y > 0) t->id[i] = t->id[i - n[2]];
                if (way >= 5 && way < 7 && z > 0) t->id[i] = t->id[i - n[1] * n[2]];
            }
}

static exa_segid at(const tissue *t, exa_coord z, exa_coord y, exa_coord x) {
    const exa_coord *n = t->box.shape;
    return z < n[0] && y < n[1] && x < n[2] ? t->id[(z * n[1] + y) * n[2] + x] : 0;
}

/* ---- the plain way ------------------------------------------------------------------------------------------- */

typedef struct face {
    exa_contact_site site; /* of this face alone */
    exa_segid number;      /* of the face, for the union-find */
} face;

static face *list_faces(const tissue *t, size_t *count) {
    const exa_coord *n = t->box.shape;
    face *list = calloc((size_t)(3 * n[0] * n[1] * n[2]), sizeof *list);
    *count = 0;
    for (exa_coord z = 0; z < n[0]; z++)
        for (exa_coord y = 0; y < n[1]; y++)
            for (exa_coord x = 0; x < n[2]; x++)
                for (int a = 0; a < 3; a++) {
                    exa_segid p = at(t, z, y, x), q = at(t, z + (a == 0), y + (a == 1), x + (a == 2));
                    const exa_coord v[3] = {z, y, x};
                    face *f = &list[*count];
                    if (!p || !q || p == q) continue;
                    f->number = ++*count;
                    f->site = (exa_contact_site){.a = p < q ? p : q, .b = p < q ? q : p};
                    f->site.faces[a] = 1;
                    f->site.first[3] = a;
                    for (int i = 0; i < 3; i++) {
                        f->site.first[i] = t->box.start[i] + v[i];
                        f->site.sum[i][0] = 2 * (uint64_t)f->site.first[i] + (i == a);
                    }
                }
    return list;
}

/* A face covers, doubled, one plane on its axis and two corners on the others. */
static bool share_corner(const face *p, const face *q) {
    for (int i = 0; i < 3; i++) {
        exa_coord low[2], high[2];
        for (int k = 0; k < 2; k++) {
            const exa_contact_site *s = k ? &q->site : &p->site;
            low[k] = s->first[i] + (s->first[3] == i);
            high[k] = s->first[i] + 1;
        }
        if (low[0] > high[1] || low[1] > high[0]) return false;
    }
    return true;
}

static int by_id(const void *a, const void *b) {
    const exa_contact_site *p = a, *q = b;
    return (p->id > q->id) - (p->id < q->id);
}

/* Adds up the records of one id, then puts them in the order of what they are. */
static void merge_sites(exa_contact_site *list, size_t *count) {
    size_t kept = 0;
    if (*count == 0) return;
    qsort(list, *count, sizeof *list, by_id);
    for (size_t i = 1; i < *count; i++) {
        if (list[i].id == list[kept].id)
            exa_contact_site_combine(&list[kept], &list[i]);
        else
            list[++kept] = list[i];
    }
    *count = kept + 1;
    qsort(list, *count, sizeof *list, exa_contact_site_order);
    for (size_t i = 0; i < *count; i++) list[i].id = i + 1;
}

static exa_contact_site *plain_sites(const tissue *t, size_t *count) {
    face *faces = list_faces(t, count);
    exa_contact_site *sites = calloc(*count + 1, sizeof *sites);
    exa_union_find *sets = NULL;
    assert_ok(exa_union_find_create(0, &sets));
    for (size_t i = 0; i < *count; i++)
        for (size_t k = 0; k < i; k++)
            if (faces[i].site.a == faces[k].site.a && faces[i].site.b == faces[k].site.b &&
                share_corner(&faces[i], &faces[k]))
                assert_ok(exa_union_find_join(sets, faces[i].number, faces[k].number));
    for (size_t i = 0; i < *count; i++) {
        sites[i] = faces[i].site;
        sites[i].id = exa_union_find_root(sets, faces[i].number);
    }
    exa_union_find_destroy(&sets);
    free(faces);
    merge_sites(sites, count);
    return sites;
}

/* ---- by chunks ----------------------------------------------------------------------------------------------- */

typedef struct found {
    exa_contact *contacts;
    exa_contact_site *sites;
    size_t contact_count, site_count;
    exa_contact_faces own, seen;
} found;

static void search_chunk(const tissue *t, const exa_chunk_grid *grid, exa_chunkid k, exa_isa isa,
                         exa_label_index *index, found *f) {
    exa_contact_chunk c = {.core = exa_chunk_grid_core(grid, k), .isa = isa};
    static uint32_t labels[MOST * MOST * MOST];
    exa_contact_site *sites;
    exa_contact *contacts;
    size_t n, contact_count, own = f->own.count, seen = f->seen.count;
    exa_box more = c.core;
    for (int a = 0; a < 3; a++) more.shape[a]++;
    c.box = exa_box_intersect(&more, &t->box);
    exa_label_index_clear(index);
    for (exa_coord z = 0, i = 0; z < c.box.shape[0]; z++)
        for (exa_coord y = 0; y < c.box.shape[1]; y++, i += c.box.shape[2]) {
            exa_segid row[MOST];
            for (exa_coord x = 0; x < c.box.shape[2]; x++)
                row[x] = at(t, c.box.start[0] - t->box.start[0] + z, c.box.start[1] - t->box.start[1] + y,
                            c.box.start[2] - t->box.start[2] + x);
            assert_ok(exa_label_index_apply(index, row, (size_t)c.box.shape[2], labels + i));
        }
    c.labels = labels;
    c.ids = exa_label_index_ids(index, &n);
    assert_ok(exa_contact_count(&c, &contacts, &contact_count));
    assert_ok(exa_contact_sites(&c, &sites, &n, &f->own, &f->seen));
    for (size_t i = 0; i < n; i++) {
        assert_ok(exa_supervoxel_make(grid, k, sites[i].id, &sites[i].id));
        f->sites[f->site_count++] = sites[i];
    }
    for (size_t i = 0; i < contact_count; i++) f->contacts[f->contact_count++] = contacts[i];
    for (; own < f->own.count; own++)
        assert_ok(exa_supervoxel_make(grid, k, f->own.list[own].site, &f->own.list[own].site));
    for (; seen < f->seen.count; seen++)
        assert_ok(exa_supervoxel_make(grid, k, f->seen.list[seen].site, &f->seen.list[seen].site));
    free(sites);
    free(contacts);
}

/* Every face that a neighbour has seen is one that its owner has put among its own. */
static void join_chunks(found *f) {
    exa_union_find *sets = NULL;
    assert_ok(exa_union_find_create(0, &sets));
    if (f->own.count) qsort(f->own.list, f->own.count, sizeof *f->own.list, exa_contact_face_order);
    for (size_t i = 0; i < f->seen.count; i++) {
        const exa_contact_face *own =
            bsearch(&f->seen.list[i], f->own.list, f->own.count, sizeof *f->own.list, exa_contact_face_order);
        assert_non_null(own);
        assert_ok(exa_union_find_join(sets, own->site, f->seen.list[i].site));
    }
    for (size_t i = 0; i < f->site_count; i++) f->sites[i].id = exa_union_find_root(sets, f->sites[i].id);
    exa_union_find_destroy(&sets);
    merge_sites(f->sites, &f->site_count);
}

static int by_pair(const void *a, const void *b) {
    const exa_contact *p = a, *q = b;
    return p->a != q->a ? (p->a < q->a ? -1 : 1) : (p->b > q->b) - (p->b < q->b);
}

static void add_contacts(found *f) {
    size_t kept = 0;
    if (f->contact_count == 0) return;
    qsort(f->contacts, f->contact_count, sizeof *f->contacts, by_pair);
    for (size_t i = 1; i < f->contact_count; i++) {
        if (by_pair(&f->contacts[kept], &f->contacts[i]) != 0) {
            f->contacts[++kept] = f->contacts[i];
            continue;
        }
        for (int a = 0; a < 3; a++) f->contacts[kept].faces[a] += f->contacts[i].faces[a];
    }
    f->contact_count = kept + 1;
}

/* Counts of pairs follow from the sites. */
static void check_contacts(const found *f) {
    size_t i = 0;
    for (size_t k = 0; k < f->contact_count; k++) {
        uint64_t faces[3] = {0, 0, 0};
        for (; i < f->site_count && f->sites[i].a == f->contacts[k].a && f->sites[i].b == f->contacts[k].b; i++)
            for (int a = 0; a < 3; a++) faces[a] += f->sites[i].faces[a];
        assert_memory_equal(faces, f->contacts[k].faces, sizeof faces);
    }
    assert_int_equal(i, f->site_count);
}

static void search_cut(const tissue *t, const exa_coord core[3], exa_isa isa, const exa_contact_site *want,
                       size_t count) {
    const exa_coord none[3] = {0, 0, 0};
    exa_label_index *index = NULL;
    exa_chunk_grid grid;
    found f = {0};
    assert_ok(exa_chunk_grid_make(&t->box, core, none, none, 3 * MOST * MOST * MOST, &grid));
    assert_ok(exa_label_index_create(isa, &index));
    f.contacts = calloc(3 * MOST * MOST * MOST, sizeof *f.contacts);
    f.sites = calloc(3 * MOST * MOST * MOST, sizeof *f.sites);
    for (exa_chunkid k = 0; k < grid.chunks; k++) search_chunk(t, &grid, k, isa, index, &f);
    join_chunks(&f);
    add_contacts(&f);
    assert_int_equal(f.site_count, count);
    assert_memory_equal(f.sites, want, count * sizeof *want);
    check_contacts(&f);
    exa_label_index_destroy(&index);
    free(f.contacts);
    free(f.sites);
    free(f.own.list);
    free(f.seen.list);
}

/* ---- the tests ----------------------------------------------------------------------------------------------- */

static void whole_and_cut(void **state) {
    static const exa_isa isas[] = {EXA_ISA_PORTABLE, EXA_ISA_AVX2, EXA_ISA_AVX512};
    tissue *t = calloc(1, sizeof *t);
    (void)state;
    for (uint64_t seed = 1, i = 0; i < 30; i++) {
        size_t count;
        make_tissue(t, &seed, i % 3 == 0 ? 3 : 40);
        exa_contact_site *want = plain_sites(t, &count);
        for (int cut = 0; cut < 4; cut++) {
            exa_coord core[3];
            for (int a = 0; a < 3; a++) core[a] = cut ? 1 + (exa_coord)(test_random(&seed) % MOST) : MOST;
            exa_isa isa = isas[(i + (uint64_t)cut) % 3];
            search_cut(t, core, exa_cpu_has(isa) ? isa : EXA_ISA_PORTABLE, want, count);
        }
        free(want);
    }
    free(t);
}

static void rows(void **state) {
    static const exa_isa isas[] = {EXA_ISA_PORTABLE, EXA_ISA_AVX2, EXA_ISA_AVX512};
    uint32_t a[400], b[400], at[400 + 64];
    uint64_t seed = 5, bits[7], ids[400];
    (void)state;
    for (int round = 0; round < 300; round++) {
        size_t n = test_random(&seed) % 400;
        for (size_t i = 0; i < n; i++) {
            a[i] = (uint32_t)(test_random(&seed) % 3) * 0x40000000u;
            b[i] = test_random(&seed) % 3 ? a[i] : (uint32_t)(test_random(&seed) % 3);
            ids[i] = i > 0 && test_random(&seed) % 50 ? ids[i - 1] : test_random(&seed);
        }
        for (int k = 0; k < 3; k++) {
            if (!exa_cpu_has(isas[k])) continue;
            exa_contact_row(isas[k], a, b, n, bits);
            for (size_t i = 0; i < (n + 63) / 64 * 64; i++)
                assert_int_equal(bits[i / 64] >> (i % 64) & 1, i < n && a[i] != b[i] && a[i] && b[i]);
            size_t listed = exa_contact_row_list(isas[k], a, b, n, at), next = 0;
            for (size_t i = 0; i < n; i++)
                if (bits[i / 64] >> (i % 64) & 1) assert_true(next < listed && at[next++] == i);
            assert_int_equal(next, listed);
            exa_contact_row_change(isas[k], ids, n, bits);
            for (size_t i = 0; i < (n + 63) / 64 * 64; i++)
                assert_int_equal(bits[i / 64] >> (i % 64) & 1, i > 0 && i < n && ids[i] != ids[i - 1]);
        }
    }
}

static void many_labels(void **state) {
    enum { N = 100000 };
    exa_segid *ids = calloc(N, sizeof *ids);
    uint32_t *numbers = calloc(N, sizeof *numbers);
    exa_label_index *index = NULL;
    size_t count;
    (void)state;
    assert_ok(exa_label_index_create(EXA_ISA_AUTO, &index));
    for (int round = 0; round < 2; round++) {
        uint64_t seed = 9 + (uint64_t)round;
        for (size_t i = 0; i < N; i++) ids[i] = i % 3 ? (test_random(&seed) | 1) << (i % 2 ? 0 : 40) : 0;
        ids[7] = UINT64_MAX;
        assert_ok(exa_label_index_apply(index, ids, N, numbers));
        const exa_segid *back = exa_label_index_ids(index, &count);
        for (size_t i = 0; i < N; i++) assert_true(numbers[i] < count && back[numbers[i]] == ids[i]);
        exa_label_index_clear(index);
    }
    exa_label_index_destroy(&index);
    free(ids);
    free(numbers);
}

static void area(void **state) {
    const uint64_t faces[3] = {2, 3, 5};
    const double size[3] = {40, 4, 8};
    (void)state;
    assert_true(exa_contact_area(faces, size) == 2 * 32 + 3 * 320 + 5 * 160);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows), cmocka_unit_test(many_labels),
                                       cmocka_unit_test(area), cmocka_unit_test(whole_and_cut)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
