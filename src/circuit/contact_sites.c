/* Contact sites of a chunk, corner by corner in one pass from z to z + 1.
 *
 * Around a corner lie eight voxels and up to twelve faces. Those of one pair of segments become one part; a face
 * that has a part already brings it along (union-find over parts). Faces are kept only for the two planes that a
 * corner touches:
 *
 *        plane z + 1   faces across x and y of its rows
 *        between       faces across z
 *        plane z       faces across x and y of its rows
 */
#include "exaconn/contact.h"

#include "exaconn/contact_row.h"

#include <stdlib.h>
#include <string.h>

typedef unsigned __int128 uint128;

typedef struct part {
    uint64_t key; /* smaller label << 32 | larger one */
    uint64_t faces[3];
    uint64_t sum[3]; /* of twice the coordinates of the centres from the box's start */
    uint64_t first;  /* its first face, as face_code has it */
    uint32_t parent; /* union-find; itself if it is a root */
} part;

typedef struct border {
    uint64_t code; /* of the face */
    uint32_t part;
} border;

/* The faces of a plane across one axis: row y begins at y * row_words and y * box.shape[2]. */
typedef struct plane {
    uint64_t *bits; /* owned; whether there is a face */
    uint32_t *part; /* owned; 0 = none yet */
} plane;

typedef struct finder {
    const exa_contact_chunk *c;
    size_t words;        /* of a row: one more than it takes, always 0 */
    plane x[2], y[2], z; /* [0]: of plane z, [1]: of plane z + 1; across z: between these */
    part *parts;         /* owned; [0] unused */
    size_t part_count, part_capacity;
    border *own, *seen; /* owned */
    size_t own_count, own_capacity, seen_count, seen_capacity;
    bool goes_on[3]; /* the volume has voxels before the core on this axis */
} finder;

/* The twelve faces around a corner: which of the eight voxels (4 dz + 2 dy + dx) lie on its two sides. */
enum { FACES = 12 };
static const struct {
    unsigned char axis, low, high;
} around[FACES] = {{2, 0, 1}, {2, 2, 3}, {2, 4, 5}, {2, 6, 7}, {1, 0, 2}, {1, 1, 3},
                   {1, 4, 6}, {1, 5, 7}, {0, 0, 4}, {0, 1, 5}, {0, 2, 6}, {0, 3, 7}};

/* A row of corners. */
typedef struct corner_row {
    exa_coord z, y;
    const uint32_t *labels[4];   /* of the four rows of voxels around it */
    const uint64_t *bits[FACES]; /* of each face; those one voxel further along x are moved by a bit */
    uint32_t *part[FACES];
} corner_row;

/* A face at the corner in work. */
typedef struct corner_face {
    uint64_t key;
    uint32_t part; /* 0 = it is met for the first time */
    int which;     /* of `around` */
} corner_face;

/* ---- parts --------------------------------------------------------------------------------------------------- */

static uint32_t root_of(part *parts, uint32_t i) {
    while (parts[i].parent != i) i = parts[i].parent = parts[parts[i].parent].parent;
    return i;
}

static uint32_t unite(part *parts, uint32_t a, uint32_t b) {
    a = root_of(parts, a);
    b = root_of(parts, b);
    if (a < b) return parts[b].parent = a;
    return parts[a].parent = b;
}

static exa_status new_part(finder *f, uint64_t key, uint32_t *number) {
    EXA_CHECK(f->part_count < UINT32_MAX, EXA_ERR_RANGE,
              "a chunk has more than 2^32 contact sites. Hint: use smaller chunks");
    EXA_TRY(exa_grow(&f->parts, &f->part_capacity, sizeof *f->parts, f->part_count + 1, "contact sites"));
    *number = (uint32_t)f->part_count++;
    f->parts[*number] = (part){.key = key, .first = UINT64_MAX, .parent = *number};
    return EXA_OK;
}

/* Orders faces by z, y, x, axis. */
static uint64_t face_code(const exa_box *box, const exa_coord at[3], int axis) {
    return (uint64_t)((at[0] * box->shape[1] + at[1]) * box->shape[2] + at[2]) * 4 + (uint64_t)axis;
}

static exa_status add_border(border **list, size_t *count, size_t *capacity, uint64_t code, uint32_t number) {
    EXA_TRY(exa_grow(list, capacity, sizeof **list, *count + 1, "faces at a chunk's border"));
    (*list)[(*count)++] = (border){code, number};
    return EXA_OK;
}

/* A face is met for the first time. */
static exa_status count_face(finder *f, const corner_row *r, exa_coord x, int which, uint32_t number) {
    const int low = around[which].low, axis = around[which].axis;
    const exa_coord at[3] = {r->z + (low >> 2), r->y + (low >> 1 & 1), x + (low & 1)}, *core = f->c->core.shape;
    const uint64_t code = face_code(&f->c->box, at, axis);
    part *p = &f->parts[number];

    r->part[which][x] = number;
    if (at[0] == core[0] || at[1] == core[1] || at[2] == core[2])
        return add_border(&f->seen, &f->seen_count, &f->seen_capacity, code, number);
    p->faces[axis]++;
    for (int a = 0; a < 3; a++) p->sum[a] += 2 * (uint64_t)at[a] + (a == axis);
    if (code < p->first) p->first = code;
    for (int a = 0; a < 3; a++)
        if (f->goes_on[a] && at[a] == 0) return add_border(&f->own, &f->own_count, &f->own_capacity, code, number);
    return EXA_OK;
}

/* ---- a corner ------------------------------------------------------------------------------------------------ */

/* Makes one part of the faces of the first one's pair, and takes them off the list. */
static exa_status join_pair(finder *f, const corner_row *r, exa_coord x, corner_face *faces, int *n) {
    const uint64_t key = faces[0].key;
    uint32_t number = 0;
    int left = 0;

    for (int i = 0; i < *n; i++) {
        const uint32_t other = faces[i].part;
        if (faces[i].key != key || !other || other == number) continue;
        number = number ? unite(f->parts, number, other) : other;
    }
    if (!number) EXA_TRY(new_part(f, key, &number));
    for (int i = 0; i < *n; i++) {
        if (faces[i].key != key) {
            faces[left++] = faces[i];
        } else if (!faces[i].part) {
            EXA_TRY(count_face(f, r, x, faces[i].which, number));
        }
    }
    *n = left;
    return EXA_OK;
}

/* `set` has a bit for each face that is there. */
static exa_status join_corner(finder *f, const corner_row *r, exa_coord x, unsigned set) {
    corner_face faces[FACES];
    uint32_t voxel[8];
    bool known = true;
    int n = 0;

    for (int i = 0; i < 4; i++) {
        voxel[2 * i] = r->labels[i][x];
        voxel[2 * i + 1] = x + 1 < f->c->box.shape[2] ? r->labels[i][x + 1] : 0;
    }
    for (; set; set &= set - 1) {
        const int which = __builtin_ctz(set);
        const uint32_t a = voxel[around[which].low], b = voxel[around[which].high];
        faces[n] = (corner_face){a < b ? (uint64_t)a << 32 | b : (uint64_t)b << 32 | a, r->part[which][x], which};
        known = known && faces[n].part && faces[n].part == faces[0].part;
        n++;
    }
    if (known) return EXA_OK; /* the usual case: all of one part already */
    while (n > 0) EXA_TRY(join_pair(f, r, x, faces, &n));
    return EXA_OK;
}

/* ---- rows and planes ----------------------------------------------------------------------------------------- */

static void begin_row(const finder *f, exa_coord z, exa_coord y, corner_row *r) {
    const exa_coord *shape = f->c->box.shape;

    *r = (corner_row){.z = z, .y = y};
    for (int i = 0; i < 4; i++) {
        /* Rows that are not there have no faces: any labels will do. */
        exa_coord at_z = z + (i >> 1) < shape[0] ? z + (i >> 1) : z,
                  at_y = y + (i & 1) < shape[1] ? y + (i & 1) : y;
        r->labels[i] = f->c->labels + (size_t)(at_z * shape[1] + at_y) * (size_t)shape[2];
    }
    for (int i = 0; i < FACES; i++) {
        const int low = around[i].low;
        const plane *p = around[i].axis == 0 ? &f->z : around[i].axis == 1 ? &f->y[low >> 2] : &f->x[low >> 2];
        const size_t row = (size_t)y + (low >> 1 & 1);
        r->bits[i] = p->bits + row * f->words;
        r->part[i] = p->part + row * (size_t)shape[2] + (low & 1);
    }
}

/* The faces that corners 64 w to 64 w + 63 have; returns which have any. */
static uint64_t load_faces(const corner_row *r, size_t w, uint64_t faces[FACES]) {
    uint64_t any = 0;

    for (int i = 0; i < FACES; i++) {
        const uint64_t *bits = r->bits[i] + w;
        faces[i] = around[i].low & 1 ? bits[0] >> 1 | bits[1] << 63 : bits[0];
        any |= faces[i];
    }
    return any;
}

static exa_status join_row(finder *f, exa_coord z, exa_coord y) {
    const size_t n = (size_t)f->c->core.shape[2];
    uint64_t faces[FACES];
    corner_row r;

    begin_row(f, z, y, &r);
    for (size_t w = 0; w < EXA_CONTACT_ROW_WORDS(n); w++) {
        uint64_t left = load_faces(&r, w, faces);
        if (n - 64 * w < 64) left &= ((uint64_t)1 << (n - 64 * w)) - 1;
        for (; left; left &= left - 1) {
            const int bit = __builtin_ctzll(left);
            unsigned set = 0;
            for (int i = 0; i < FACES; i++) set |= (unsigned)(faces[i] >> bit & 1) << i;
            EXA_TRY(join_corner(f, &r, (exa_coord)(64 * w) + bit, set));
        }
    }
    return EXA_OK;
}

/* The faces of plane z across x and y, none if the box ends before. */
static void fill_plane(finder *f, exa_coord z, int i) {
    const exa_coord *shape = f->c->box.shape;
    const size_t row = (size_t)shape[2], bytes = (size_t)(shape[1] + 1) * f->words * sizeof(uint64_t);

    memset(f->x[i].bits, 0, bytes);
    memset(f->y[i].bits, 0, bytes);
    memset(f->x[i].part, 0, (size_t)(shape[1] + 1) * row * sizeof(uint32_t));
    memset(f->y[i].part, 0, (size_t)(shape[1] + 1) * row * sizeof(uint32_t));
    for (exa_coord y = 0; z < shape[0] && y < shape[1]; y++) {
        const uint32_t *labels = f->c->labels + ((size_t)z * (size_t)shape[1] + (size_t)y) * row;
        const size_t at = (size_t)y * f->words;
        exa_contact_row(f->c->isa, labels, labels + 1, row - 1, f->x[i].bits + at);
        if (y + 1 < shape[1]) exa_contact_row(f->c->isa, labels, labels + row, row, f->y[i].bits + at);
    }
}

/* The faces across z between the planes z and z + 1. */
static void fill_between(finder *f, exa_coord z) {
    const exa_coord *shape = f->c->box.shape;
    const size_t row = (size_t)shape[2];

    memset(f->z.bits, 0, (size_t)(shape[1] + 1) * f->words * sizeof(uint64_t));
    memset(f->z.part, 0, (size_t)(shape[1] + 1) * row * sizeof(uint32_t));
    for (exa_coord y = 0; z + 1 < shape[0] && y < shape[1]; y++) {
        const uint32_t *labels = f->c->labels + ((size_t)z * (size_t)shape[1] + (size_t)y) * row;
        exa_contact_row(f->c->isa, labels, labels + (size_t)shape[1] * row, row, f->z.bits + (size_t)y * f->words);
    }
}

static exa_status join_all(finder *f) {
    fill_plane(f, 0, 0);
    for (exa_coord z = 0; z < f->c->core.shape[0]; z++) {
        plane x = f->x[0], y = f->y[0];
        fill_plane(f, z + 1, 1);
        fill_between(f, z);
        for (exa_coord row = 0; row < f->c->core.shape[1]; row++) EXA_TRY(join_row(f, z, row));
        f->x[0] = f->x[1], f->x[1] = x;
        f->y[0] = f->y[1], f->y[1] = y;
    }
    return EXA_OK;
}

/* ---- what is found ------------------------------------------------------------------------------------------- */

static void add_part(part *into, const part *p) {
    for (int a = 0; a < 3; a++) {
        into->faces[a] += p->faces[a];
        into->sum[a] += p->sum[a];
    }
    if (p->first < into->first) into->first = p->first;
}

static uint64_t faces_of(const part *p) {
    return p->faces[0] + p->faces[1] + p->faces[2];
}

static void place_face(const exa_box *box, uint64_t code, exa_coord at[4]) {
    const uint64_t voxel = code / 4, row = (uint64_t)box->shape[2], rows = (uint64_t)box->shape[1];

    at[0] = box->start[0] + (exa_coord)(voxel / row / rows);
    at[1] = box->start[1] + (exa_coord)(voxel / row % rows);
    at[2] = box->start[2] + (exa_coord)(voxel % row);
    at[3] = (exa_coord)(code % 4);
}

static exa_contact_site site_of(const finder *f, const part *p, exa_segid id) {
    const exa_segid a = f->c->ids[p->key >> 32], b = f->c->ids[(uint32_t)p->key];
    exa_contact_site s = {.id = id, .a = a < b ? a : b, .b = a < b ? b : a};

    memcpy(s.faces, p->faces, sizeof s.faces);
    place_face(&f->c->box, p->first, s.first);
    for (int i = 0; i < 3; i++) {
        uint128 sum = (uint128)p->sum[i] + (uint128)2 * (uint64_t)f->c->box.start[i] * faces_of(p);
        s.sum[i][0] = (uint64_t)sum;
        s.sum[i][1] = (uint64_t)(sum >> 64);
    }
    return s;
}

/* Roots become sites 1, 2, ..., those with faces of the core first to be met in the order of their first corners.
 */
static exa_status list_sites(finder *f, exa_contact_site **list, size_t *count, exa_segid *site) {
    exa_contact_site *made;
    exa_segid last = 0;
    size_t n = 0;

    for (uint32_t i = 1; i < f->part_count; i++) {
        uint32_t root = root_of(f->parts, i);
        if (root != i) add_part(&f->parts[root], &f->parts[i]);
    }
    EXA_TRY(exa_alloc(f->part_count, sizeof *made, "the contact sites of a chunk", &made));
    for (uint32_t i = 1; i < f->part_count; i++) {
        uint32_t root = root_of(f->parts, i); /* the smallest, so its site is known */
        if (root != i) {
            site[i] = site[root];
            continue;
        }
        site[i] = ++last;
        if (faces_of(&f->parts[i])) made[n++] = site_of(f, &f->parts[i], last);
    }
    *list = made;
    *count = n;
    return EXA_OK;
}

static exa_status list_faces(const finder *f, const border *from, size_t count, const exa_segid *site,
                             exa_contact_faces *to) {
    EXA_TRY(exa_grow(&to->list, &to->capacity, sizeof *to->list, to->count + count, "faces at a chunk's border"));
    for (size_t i = 0; i < count; i++) {
        exa_contact_face *face = &to->list[to->count++];
        place_face(&f->c->box, from[i].code, face->at);
        face->site = site[from[i].part];
    }
    return EXA_OK;
}

static exa_status begin_plane(plane *p, size_t rows, size_t words, size_t row) {
    EXA_TRY(exa_calloc(rows * words, sizeof *p->bits, "a plane of faces", &p->bits));
    return exa_calloc(rows * row, sizeof *p->part, "a plane of faces", &p->part);
}

static exa_status begin(finder *f) {
    const size_t rows = (size_t)f->c->box.shape[1] + 1, row = (size_t)f->c->box.shape[2];
    plane *const planes[5] = {&f->x[0], &f->x[1], &f->y[0], &f->y[1], &f->z};
    uint32_t unused;

    f->words = EXA_CONTACT_ROW_WORDS(row) + 1;
    for (int a = 0; a < 3; a++) f->goes_on[a] = f->c->core.start[a] > 0;
    for (int i = 0; i < 5; i++) EXA_TRY(begin_plane(planes[i], rows, f->words, row));
    return new_part(f, 0, &unused); /* so that 0 is none */
}

static void end(finder *f) {
    plane *const planes[5] = {&f->x[0], &f->x[1], &f->y[0], &f->y[1], &f->z};

    for (int i = 0; i < 5; i++) {
        free(planes[i]->bits);
        free(planes[i]->part);
    }
    free(f->parts);
    free(f->own);
    free(f->seen);
}

exa_status exa_contact_sites(const exa_contact_chunk *chunk, exa_contact_site **list, size_t *count,
                             exa_contact_faces *own, exa_contact_faces *seen) {
    finder f = {.c = chunk};
    exa_segid *site = NULL;
    exa_contact_site *made = NULL;
    size_t n = 0;
    exa_status st = EXA_OK;

    EXA_GOTO(done, begin(&f));
    EXA_GOTO(done, join_all(&f));
    EXA_GOTO(done, exa_calloc(f.part_count, sizeof *site, "contact sites", &site));
    EXA_GOTO(done, list_sites(&f, &made, &n, site));
    EXA_GOTO(done, list_faces(&f, f.own, f.own_count, site, own));
    EXA_GOTO(done, list_faces(&f, f.seen, f.seen_count, site, seen));
    *list = made;
    *count = n;
    made = NULL;
done:
    free(made);
    free(site);
    end(&f);
    return st;
}

/* ---- sites of several chunks --------------------------------------------------------------------------------- */

static int compare_faces(const exa_coord a[4], const exa_coord b[4]) {
    for (int i = 0; i < 4; i++)
        if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
    return 0;
}

void exa_contact_site_combine(void *into, const void *site) {
    exa_contact_site *a = into;
    const exa_contact_site *b = site;

    for (int i = 0; i < 3; i++) {
        uint128 sum = ((uint128)a->sum[i][1] << 64 | a->sum[i][0]) + ((uint128)b->sum[i][1] << 64 | b->sum[i][0]);
        a->faces[i] += b->faces[i];
        a->sum[i][0] = (uint64_t)sum;
        a->sum[i][1] = (uint64_t)(sum >> 64);
    }
    if (compare_faces(b->first, a->first) < 0) memcpy(a->first, b->first, sizeof a->first);
}

int exa_contact_site_order(const void *a, const void *b) {
    const exa_contact_site *p = a, *q = b;

    if (p->a != q->a) return p->a < q->a ? -1 : 1;
    if (p->b != q->b) return p->b < q->b ? -1 : 1;
    return compare_faces(p->first, q->first);
}

int exa_contact_face_order(const void *a, const void *b) {
    return compare_faces(((const exa_contact_face *)a)->at, ((const exa_contact_face *)b)->at);
}
