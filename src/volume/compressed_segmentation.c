/* Tables that several blocks have in common are stored once: most blocks of a segmentation lie inside one object.
 */
#include "compressed_segmentation_internal.h"

#include "exaconn/hash.h"
#include "exaconn/little_endian.h"

#include <stdlib.h>
#include <string.h>

enum {
    SIDE = EXA_COMPRESSED_SEGMENTATION_BLOCK,
    CELLS = SIDE * SIDE * SIDE,
    SLOTS = 2048,
    LARGEST_TABLE_OFFSET = (1 << 24) - 1
};

/* ---- encoding ------------------------------------------------------------------------------------------------ */

typedef struct encoder {
    unsigned char *data; /* owned; word 0 is the channel's offset, all other offsets count from word 1 */
    size_t words;        /* used, after word 0 */
    struct {
        uint32_t offset, count; /* count 0 = free */
    } tables[SLOTS];
    size_t table_count;
} encoder;

typedef struct block {
    uint64_t value[CELLS]; /* x fastest; padding repeats value[0] */
    uint64_t table[CELLS]; /* distinct, ascending */
    size_t count;
} block;

static unsigned char *word_at(const encoder *e, size_t word) {
    return e->data + 4 * (word + 1);
}

static void gather(const uint64_t *labels, const exa_coord shape[3], const exa_coord at[3], block *b) {
    exa_coord n[3];

    for (int a = 0; a < 3; a++) n[a] = shape[a] - at[a] < SIDE ? shape[a] - at[a] : SIDE;
    if (n[0] * n[1] * n[2] < CELLS) {
        const uint64_t first = labels[(at[0] * shape[1] + at[1]) * shape[2] + at[2]];
        for (int i = 0; i < CELLS; i++) b->value[i] = first;
    }
    for (exa_coord z = 0; z < n[0]; z++)
        for (exa_coord y = 0; y < n[1]; y++)
            memcpy(b->value + (z * SIDE + y) * SIDE,
                   labels + ((at[0] + z) * shape[1] + at[1] + y) * shape[2] + at[2], (size_t)n[2] * sizeof *labels);
}

static void make_table(block *b) {
    b->count = 0;
    for (int i = 0; i < CELLS; i++) {
        size_t t = 0;
        if (i > 0 && b->value[i] == b->value[i - 1]) continue;
        while (t < b->count && b->table[t] != b->value[i]) t++;
        if (t == b->count) b->table[b->count++] = b->value[i];
    }
    if (b->count > 1) qsort(b->table, b->count, sizeof *b->table, exa_segid_order);
}

static int bits_for(size_t count) {
    int bits = 1;

    if (count == 1) return 0;
    while (((size_t)1 << bits) < count) bits *= 2;
    return bits;
}

static uint32_t code_of(const block *b, uint64_t value) {
    size_t low = 0, high = b->count;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (b->table[middle] <= value) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return (uint32_t)low;
}

static void put_values(encoder *e, const block *b, int bits) {
    const size_t first = e->words, count = (size_t)bits * CELLS / 32;
    uint32_t code = 0;

    for (size_t i = 0; i < count; i++) {
        uint32_t word = 0;
        for (int bit = 0; bit < 32; bit += bits) {
            size_t v = (i * 32 + (size_t)bit) / (size_t)bits;
            if (v == 0 || b->value[v] != b->value[v - 1]) code = code_of(b, b->value[v]);
            word |= code << bit;
        }
        exa_store_le32(word_at(e, first + i), word);
    }
    e->words += count;
}

static bool same_table(const encoder *e, size_t slot, const block *b) {
    const unsigned char *p = word_at(e, e->tables[slot].offset);

    if (e->tables[slot].count != b->count) return false;
    for (size_t i = 0; i < b->count; i++)
        if (exa_load_le64(p + 8 * i) != b->table[i]) return false;
    return true;
}

/* Where the block's table stands, put there if it is new. */
static size_t put_table(encoder *e, const block *b) {
    uint64_t hash = b->count;
    size_t slot, offset = e->words;

    for (size_t i = 0; i < b->count; i++) hash = exa_hash_u64(hash ^ b->table[i]);
    for (slot = hash % SLOTS; e->tables[slot].count; slot = (slot + 1) % SLOTS)
        if (same_table(e, slot, b)) return e->tables[slot].offset;
    if (e->table_count < SLOTS / 2) { /* beyond, they are not remembered */
        e->tables[slot].offset = (uint32_t)offset;
        e->tables[slot].count = (uint32_t)b->count;
        e->table_count++;
    }
    for (size_t i = 0; i < b->count; i++) exa_store_le64(word_at(e, offset + 2 * i), b->table[i]);
    e->words += 2 * b->count;
    return offset;
}

static exa_status put_block(encoder *e, block *b, size_t number) {
    int bits;
    size_t values, table;

    make_table(b);
    bits = bits_for(b->count);
    values = e->words;
    if (bits) put_values(e, b, bits);
    table = put_table(e, b);
    EXA_CHECK(table <= LARGEST_TABLE_OFFSET, EXA_ERR_RANGE,
              "a chunk of labels is too large for compressed_segmentation");
    exa_store_le32(word_at(e, 2 * number), (uint32_t)table | (uint32_t)bits << 24);
    exa_store_le32(word_at(e, 2 * number + 1), (uint32_t)values);
    return EXA_OK;
}

exa_status exa_compressed_segmentation_encode(const uint64_t *labels, const exa_coord shape[3], unsigned char **out,
                                              size_t *size) {
    const exa_coord grid[3] = {(shape[0] + SIDE - 1) / SIDE, (shape[1] + SIDE - 1) / SIDE,
                               (shape[2] + SIDE - 1) / SIDE};
    const size_t blocks = (size_t)(grid[0] * grid[1] * grid[2]), most = 2 + 2 * CELLS + CELLS / 2;
    encoder *e = NULL;
    block *b = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_calloc(1, sizeof *e, "an encoder of labels", &e));
    EXA_GOTO(done, exa_alloc(1, sizeof *b, "an encoder of labels", &b));
    EXA_GOTO(done, exa_alloc(1 + blocks * most, 4, "an encoded chunk", &e->data));
    exa_store_le32(e->data, 1);
    e->words = 2 * blocks;
    for (size_t i = 0; i < blocks; i++) {
        const exa_coord n = (exa_coord)i;
        const exa_coord at[3] = {n / (grid[1] * grid[2]) * SIDE, n / grid[2] % grid[1] * SIDE, n % grid[2] * SIDE};
        gather(labels, shape, at, b);
        EXA_GOTO(done, put_block(e, b, i));
    }
    *out = e->data;
    *size = 4 * (1 + e->words);
    e->data = NULL;
done:
    if (e) free(e->data);
    free(e);
    free(b);
    return st;
}

/* ---- decoding ------------------------------------------------------------------------------------------------ */

typedef struct decoder {
    const unsigned char *data; /* of the channel */
    size_t words;
    const exa_coord *shape, *block;
    size_t element;
    unsigned char *out;
} decoder;

static exa_status outside(void) {
    return EXA_FAIL(EXA_ERR_CORRUPT, "a block of its labels points outside the chunk");
}

static exa_status decode_block(const decoder *d, const exa_coord at[3], size_t number) {
    const uint32_t head = exa_load_le32(d->data + 8 * number), values = exa_load_le32(d->data + 8 * number + 4);
    const size_t table = head & LARGEST_TABLE_OFFSET, bits = head >> 24, per_value = d->element / 4;
    const size_t cells = (size_t)(d->block[0] * d->block[1] * d->block[2]);
    exa_coord n[3];
    uint32_t mask;
    size_t entries;

    EXA_CHECK(bits <= 32 && (bits & (bits - 1)) == 0, EXA_ERR_CORRUPT, "a block of its labels has %zu bits a voxel",
              bits);
    if (table >= d->words || (d->words - table) / per_value == 0) return outside();
    if (bits && (values >= d->words || (cells * bits + 31) / 32 > d->words - values)) return outside();
    mask = bits == 32 ? UINT32_MAX : (UINT32_C(1) << bits) - 1;
    entries = (d->words - table) / per_value;
    for (int a = 0; a < 3; a++) n[a] = d->shape[a] - at[a] < d->block[a] ? d->shape[a] - at[a] : d->block[a];
    for (exa_coord z = 0; z < n[0]; z++) {
        for (exa_coord y = 0; y < n[1]; y++) {
            unsigned char *to =
                d->out + d->element * (size_t)(((at[0] + z) * d->shape[1] + at[1] + y) * d->shape[2] + at[2]);
            size_t bit = bits * (size_t)((z * d->block[1] + y) * d->block[2]);
            for (exa_coord x = 0; x < n[2]; x++, bit += bits, to += d->element) {
                uint32_t code = 0;
                if (bits) code = exa_load_le32(d->data + 4 * (values + bit / 32)) >> bit % 32 & mask;
                if (code >= entries) return outside();
                memcpy(to, d->data + 4 * (table + code * per_value), d->element);
            }
        }
    }
    return EXA_OK;
}

exa_status exa_compressed_segmentation_decode(const unsigned char *data, size_t size, const exa_coord shape[3],
                                              const exa_coord block_shape[3], size_t element, void *labels) {
    exa_coord grid[3];
    decoder d = {data + 4, size / 4, shape, block_shape, element, labels};
    size_t number = 0;

    for (int a = 0; a < 3; a++) grid[a] = (shape[a] + block_shape[a] - 1) / block_shape[a];
    EXA_CHECK(size >= 4 && size % 4 == 0, EXA_ERR_CORRUPT, "its labels have %zu bytes, which are no whole words",
              size);
    EXA_CHECK(exa_load_le32(data) == 1, EXA_ERR_CORRUPT, "its labels begin at word %u, not at 1",
              exa_load_le32(data));
    d.words--;
    EXA_CHECK(d.words / 2 >= (size_t)(grid[0] * grid[1] * grid[2]), EXA_ERR_CORRUPT,
              "its labels end within the block headers");
    for (exa_coord z = 0; z < grid[0]; z++)
        for (exa_coord y = 0; y < grid[1]; y++)
            for (exa_coord x = 0; x < grid[2]; x++, number++) {
                const exa_coord at[3] = {z * block_shape[0], y * block_shape[1], x * block_shape[2]};
                EXA_TRY(decode_block(&d, at, number));
            }
    return EXA_OK;
}
