/* Sums by key over the ranks: those of one process, for any number of ranks and nodes; and exchanges. */
#include "test_util.h"

#include "exaconn/box.h"
#include "exaconn/comm.h"
#include "exaconn/hash.h"
#include "exaconn/reduce.h"

#include <mpi.h>

typedef struct record {
    uint64_t key, sum, smallest;
} record;

enum { RECORDS = 30000, KEYS = 7000 };

static void combine(void *into, const void *r) {
    record *a = into;
    const record *b = r;
    a->sum += b->sum;
    if (b->smallest < a->smallest) a->smallest = b->smallest;
}

/* Record i of test `seed`: few keys have most records, some keys are beyond 2^63. */
static record record_of(uint64_t seed, uint64_t i) {
    uint64_t h = exa_hash_u64(exa_hash_u64(seed) + i), k = h % 3 ? h % KEYS : h % 5;
    return (record){seed % 2 ? k : k * (UINT64_MAX / KEYS), h % 1000, h};
}

/* Who has record i: evenly, all on the last rank, or all on the first. */
static int holder(uint64_t seed, uint64_t i) {
    int size = exa_comm_size();
    return seed % 3 == 0 ? (int)(i % (uint64_t)size) : seed % 3 == 1 ? size - 1 : 0;
}

static void check_reduction(uint64_t seed, int ranks_per_node) {
    const exa_reduction reduction = {.size = sizeof(record), .combine = combine, .ranks_per_node = ranks_per_node};
    record *mine = malloc(RECORDS * sizeof *mine), *expected = calloc(KEYS, sizeof *expected);
    void *records = mine;
    size_t count = 0, keys = 0;
    uint64_t before, total, last = 0;

    for (uint64_t i = 0; i < RECORDS; i++) {
        record r = record_of(seed, i);
        record *e = &expected[seed % 2 ? r.key : r.key / (UINT64_MAX / KEYS)];
        if (e->smallest == 0) {
            *e = r;
            keys++;
        } else {
            combine(e, &r);
        }
        if (holder(seed, i) == exa_comm_rank()) mine[count++] = r;
    }
    assert_int_equal(exa_reduce_by_key(&reduction, &records, &count), EXA_OK);
    assert_int_equal(exa_sum_before(count, &before, &total), EXA_OK);
    assert_int_equal(total, keys);
    for (size_t i = 0, k = 0, n = 0; i < count; k++) { /* the keys in order, from number `before` on */
        const record *r = (const record *)records + i;
        assert_true(k < KEYS);
        if (expected[k].smallest == 0 || n++ < before) continue;
        assert_memory_equal(r, &expected[k], sizeof *r);
        assert_true(i == 0 || r->key > last);
        last = r->key;
        i++;
    }
    if (exa_comm_size() == 4 && seed % 3 == 0) assert_in_range(count, keys / 8, keys / 2); /* shared out */
    free(records);
    free(expected);
}

static void sums(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 6; seed++) {
        for (int node = 0; node <= exa_comm_size(); node++) check_reduction(seed, node);
    }
}

typedef struct pair_record {
    uint64_t a, b, sum;
} pair_record;

static void add_pair(void *into, const void *r) {
    ((pair_record *)into)->sum += ((const pair_record *)r)->sum;
}

/* Keys of two words: (a, b) for a, b < 40, most of them with the same a; each is given by every rank. */
static void pairs(void **state) {
    const exa_reduction reduction = {.size = sizeof(pair_record), .combine = add_pair, .key_words = 2};
    enum { WIDTH = 40 };
    pair_record *mine = malloc(WIDTH * WIDTH * sizeof *mine);
    void *records = mine;
    size_t count = 0;
    uint64_t before, total;

    (void)state;
    for (uint64_t i = WIDTH * WIDTH; i-- > 0;)
        mine[count++] = (pair_record){i / WIDTH < 35 ? 7 : i / WIDTH, i % WIDTH * (UINT64_MAX / WIDTH), i};
    assert_int_equal(exa_reduce_by_key(&reduction, &records, &count), EXA_OK);
    assert_int_equal(exa_sum_before(count, &before, &total), EXA_OK);
    assert_int_equal(total, 6 * WIDTH);
    for (size_t i = 0; i < count; i++) {
        const pair_record *r = (const pair_record *)records + i;
        uint64_t n = before + i, a = n / WIDTH ? n / WIDTH + 34 : 7, b = n % WIDTH, sum = a * WIDTH + b;
        if (a == 7) sum = 35 * b + WIDTH * 35 * 34 / 2;
        assert_true(r->a == a && r->b == b * (UINT64_MAX / WIDTH) && r->sum == sum * (uint64_t)exa_comm_size());
    }
    free(records);
}

static void nothing(void **state) {
    const exa_reduction reduction = {.size = sizeof(record), .combine = combine};
    void *records = NULL;
    size_t count = 0;

    (void)state;
    assert_int_equal(exa_reduce_by_key(&reduction, &records, &count), EXA_OK);
    assert_int_equal(count, 0);
    free(records);
}

/* Rank s sends r + 1 records to rank r that say s and r. */
static void exchanges(void **state) {
    int size = exa_comm_size(), rank = exa_comm_rank();
    size_t counts[16], sent = 0, got;
    int64_t out[256][2], (*in)[2];
    void *received;

    (void)state;
    assert_in_range(size, 1, 16);
    for (int r = 0; r < size; r++) {
        counts[r] = (size_t)r + 1;
        for (int i = 0; i <= r; i++, sent++) {
            out[sent][0] = rank;
            out[sent][1] = r;
        }
    }
    assert_int_equal(exa_exchange(out, sizeof out[0], counts, &received, &got), EXA_OK);
    assert_int_equal(got, (size_t)size * (size_t)(rank + 1));
    in = received;
    for (size_t i = 0; i < got; i++) {
        assert_int_equal(in[i][0], i / (size_t)(rank + 1));
        assert_int_equal(in[i][1], rank);
    }
    free(received);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(sums), cmocka_unit_test(pairs), cmocka_unit_test(nothing),
                                       cmocka_unit_test(exchanges)};
    int failed;

    if (exa_comm_init() != EXA_OK) return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    exa_comm_finalize();
    return failed;
}
