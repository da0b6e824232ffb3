/* The journal: what is synced is there after a kill; damage anywhere costs the records it hits, is told, and never
 * changes a record. */
#include "test_util.h"

#include "exaconn/box.h"
#include "exaconn/file.h"
#include "exaconn/journal.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define RUN "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "f123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const exa_journal_owner owner = {.run_sha256 = RUN, .epoch = 3, .rank = 5};

static char folder[4096], path[4160];

static int set_up(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "%s", test_make_folder());
    snprintf(path, sizeof path, "%s/r5-e3.journal", folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    test_remove_folder(folder);
    return 0;
}

/* Payload number i: empty, labels that compress well, or noise that does not. */
static size_t make_payload(uint64_t i, unsigned char *payload) {
    uint64_t seed = i;
    size_t size = i % 7 == 0 ? 0 : (size_t)(test_random(&seed) % 3000);
    for (size_t k = 0; k < size; k++) payload[k] = (unsigned char)(i % 3 ? k / (40 + i % 17) : test_random(&seed));
    return size;
}

static void write_records(int level, uint64_t count) {
    unsigned char payload[3000];
    exa_journal *j = NULL;
    assert_ok(exa_journal_create(path, &owner, level, &j));
    for (uint64_t i = 0; i < count; i++) {
        size_t size = make_payload(i, payload);
        assert_ok(exa_journal_append(j, (uint32_t)(i % 4), i * 1000003, payload, size, NULL));
    }
    assert_ok(exa_journal_sync(j));
    exa_journal_close(&j);
}

/* Reads all records; each must be what was written. Marks what was found, and where it lay if `offset` is given. */
static exa_journal_damage read_records(uint8_t *found, uint64_t *offset, uint64_t *end_of) {
    unsigned char payload[3000], expected[3000];
    exa_journal_reader *r = NULL;
    exa_journal_record record;
    exa_journal_damage damage;
    bool end;
    assert_ok(exa_journal_open(path, RUN, &r));
    for (;;) {
        uint64_t i;
        assert_ok(exa_journal_next(r, &record, &end));
        if (end) break;
        i = record.sequence;
        assert_int_equal(record.chunk, i * 1000003);
        assert_int_equal(record.kind, i % 4);
        assert_int_equal(record.epoch, 3);
        assert_int_equal(record.rank, 5);
        assert_int_equal(record.size, make_payload(i, expected));
        assert_ok(exa_journal_load(r, &record, payload));
        assert_memory_equal(payload, expected, record.size);
        assert_int_equal(found[i], 0);
        found[i] = 1;
        if (offset) offset[i] = record.offset;
        if (end_of) end_of[i] = record.offset + 80 + record.stored_size;
    }
    damage = *exa_journal_reader_damage(r);
    exa_journal_reader_close(&r);
    return damage;
}

static bool told(const exa_journal_damage *d) {
    return d->regions > 0 || d->tail_bytes > 0 || d->header;
}

static void records_come_back(void **state) {
    (void)state;
    for (int level = 0; level <= 3; level += 3) {
        uint8_t found[200] = {0};
        exa_journal_damage damage;
        write_records(level, 200);
        damage = read_records(found, NULL, NULL);
        for (int i = 0; i < 200; i++) assert_int_equal(found[i], 1);
        assert_false(told(&damage));
        unlink(path);
    }
}

static void compression_saves_space(void **state) {
    struct stat plain, compressed;
    (void)state;
    write_records(0, 200);
    assert_int_equal(stat(path, &plain), 0);
    unlink(path);
    write_records(3, 200);
    assert_int_equal(stat(path, &compressed), 0);
    assert_true(compressed.st_size < plain.st_size * 2 / 3);
}

enum { RECORDS = 40 };

/* A journal to be damaged. */
typedef struct victim {
    uint64_t offset[RECORDS], end_of[RECORDS]; /* of its records in the file */
    char *bytes;                               /* owned */
    size_t size;
} victim;

static char *read_file(size_t *size) {
    char *bytes = NULL;
    assert_ok(exa_file_read_all(path, (size_t)1 << 30, &bytes, size));
    return bytes;
}

static void write_file(const char *bytes, size_t size) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

static victim make_victim(void) {
    victim v;
    uint8_t found[RECORDS] = {0};
    write_records(3, RECORDS);
    read_records(found, v.offset, v.end_of);
    v.bytes = read_file(&v.size);
    return v;
}

/* Every record that the bytes [from, to) do not touch must be there. Returns how many are lost. */
static int check_survivors(const victim *v, uint64_t from, uint64_t to, bool *is_told) {
    uint8_t found[RECORDS] = {0};
    exa_journal_damage damage = read_records(found, NULL, NULL);
    int lost = 0;
    for (int i = 0; i < RECORDS; i++) {
        bool hit = from < v->end_of[i] && to > v->offset[i];
        if (!found[i] && !hit)
            fail_msg("bytes %llu to %llu damaged: record %d at %llu to %llu is lost", (unsigned long long)from,
                     (unsigned long long)to, i, (unsigned long long)v->offset[i], (unsigned long long)v->end_of[i]);
        lost += !found[i];
    }
    *is_told = told(&damage);
    return lost;
}

static int touched(const victim *v, uint64_t from, uint64_t to) {
    int n = 0;
    for (int i = 0; i < RECORDS; i++) n += from < v->end_of[i] && to > v->offset[i];
    return n;
}

/* 2,000 times, bytes somewhere are changed to others or to zeros. */
static void changed_bytes_cost_what_they_hit(void **state) {
    victim v = make_victim();
    uint64_t seed = 11;
    (void)state;
    for (int t = 0; t < 2000; t++) {
        uint64_t from = test_random(&seed) % v.size, length = 1 + test_random(&seed) % (t % 2 ? 4 : 300);
        char *bad = malloc(v.size);
        bool is_told;
        assert_non_null(bad);
        if (length > v.size - from) length = v.size - from;
        memcpy(bad, v.bytes, v.size);
        if (t % 3) {
            for (uint64_t i = from; i < from + length; i++) bad[i] ^= (char)(1 + test_random(&seed) % 255);
        } else { /* the first and the last byte do change, so that the region is the damage */
            memset(bad + from, 0, length);
            bad[from] = (char)~v.bytes[from];
            bad[from + length - 1] = (char)~v.bytes[from + length - 1];
        }
        write_file(bad, v.size);
        assert_int_equal(check_survivors(&v, from, from + length, &is_told), touched(&v, from, from + length));
        assert_true(is_told);
        free(bad);
    }
    free(v.bytes);
}

/* 500 times, the end is cut off. Only a cut between two records cannot be seen in the file. */
static void a_cut_end_costs_what_is_gone(void **state) {
    victim v = make_victim();
    uint64_t seed = 12;
    (void)state;
    for (int t = 0; t < 500; t++) {
        uint64_t from = t < 100 ? (uint64_t)t : test_random(&seed) % v.size;
        bool is_told, between = from == v.offset[0] || from == 0;
        for (int i = 0; i < RECORDS; i++) between = between || from == v.end_of[i];
        write_file(v.bytes, from);
        assert_int_equal(check_survivors(&v, from, v.size, &is_told), touched(&v, from, v.size));
        assert_int_equal(is_told, !between);
    }
    free(v.bytes);
}

/* 500 times, bytes are cut out or put in: what follows is found at its new place. */
static void shifted_bytes_cost_what_they_hit(void **state) {
    victim v = make_victim();
    uint64_t seed = 13;
    (void)state;
    for (int t = 0; t < 500; t++) {
        uint64_t from = test_random(&seed) % v.size, length = 1 + test_random(&seed) % 200, to;
        char *bad = malloc(v.size + length);
        bool is_told;
        assert_non_null(bad);
        if (length > v.size - from) length = v.size - from;
        memcpy(bad, v.bytes, from);
        if (t % 2) {
            to = from + length;
            memcpy(bad + from, v.bytes + to, v.size - to);
            write_file(bad, v.size - length);
        } else {
            to = from;
            for (uint64_t i = 0; i < length; i++) bad[from + i] = (char)test_random(&seed);
            memcpy(bad + from + length, v.bytes + from, v.size - from);
            write_file(bad, v.size + length);
        }
        check_survivors(&v, from, to, &is_told);
        free(bad);
    }
    free(v.bytes);
}

/* The file ends in the middle of a write: at RLIMIT_FSIZE as on a full disk. */
static void full_disk_takes_nothing_with_it(void **state) {
    struct rlimit limit, small;
    unsigned char payload[3000];
    uint8_t found[100] = {0};
    exa_journal *j = NULL;
    exa_journal_damage damage;
    struct stat info;
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_ok(exa_journal_create(path, &owner, 0, &j));
    for (uint64_t i = 0; i < 100; i++) {
        size_t size = make_payload(i, payload);
        if (i % 10 == 9) { /* half the record fits */
            small = limit;
            small.rlim_cur = exa_journal_bytes(j) + 80 + size / 2;
            assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
            if (size > 0)
                assert_fails(EXA_ERR_IO, path,
                             exa_journal_append(j, (uint32_t)(i % 4), i * 1000003, payload, size, NULL));
            assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
            assert_int_equal(stat(path, &info), 0);
            assert_int_equal(info.st_size, exa_journal_bytes(j));
        }
        assert_ok(exa_journal_append(j, (uint32_t)(i % 4), i * 1000003, payload, size, NULL));
    }
    assert_ok(exa_journal_sync(j));
    exa_journal_close(&j);
    damage = read_records(found, NULL, NULL);
    for (int i = 0; i < 100; i++) assert_int_equal(found[i], 1);
    assert_false(told(&damage));
    signal(SIGXFSZ, SIG_DFL);
}

/* Says "synced" for each record over `fd` until it is killed. */
static void write_until_killed(int fd) {
    unsigned char payload[3000];
    exa_journal *j = NULL;
    if (exa_journal_create(path, &owner, 3, &j) != EXA_OK) _exit(1);
    for (uint64_t i = 0;; i++) {
        size_t size = make_payload(i, payload);
        if (exa_journal_append(j, (uint32_t)(i % 4), i * 1000003, payload, size, NULL) != EXA_OK) _exit(1);
        if (exa_journal_sync(j) != EXA_OK || write(fd, &i, sizeof i) != sizeof i) _exit(1);
    }
}

static void killed_writer_loses_nothing_synced(void **state) {
    static uint8_t found[1 << 20];
    (void)state;
    for (int t = 0; t < 20; t++) {
        uint64_t i, synced = 0;
        int ends[2], status;
        pid_t child;
        assert_int_equal(pipe(ends), 0);
        child = fork();
        assert_true(child >= 0);
        if (child == 0) write_until_killed(ends[1]);
        close(ends[1]);
        while (synced < 10 + (uint64_t)t && read(ends[0], &i, sizeof i) == sizeof i) synced++;
        usleep((useconds_t)(t * 137));
        kill(child, SIGKILL);
        while (read(ends[0], &i, sizeof i) == sizeof i) synced++;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        close(ends[0]);
        memset(found, 0, sizeof found);
        read_records(found, NULL, NULL);
        assert_true(synced >= 10);
        for (i = 0; i < synced; i++) assert_int_equal(found[i], 1);
        unlink(path);
    }
}

static void wrong_files_are_refused(void **state) {
    exa_journal_owner bad = owner;
    exa_journal_reader *r = NULL;
    exa_journal *j = NULL;
    size_t size;
    char *bytes;
    (void)state;
    write_records(3, 3);
    assert_fails(EXA_ERR_CHECKPOINT, "exists already", exa_journal_create(path, &owner, 3, &j));
    assert_fails(EXA_ERR_CHECKPOINT, "belongs to another run", exa_journal_open(path, OTHER, &r));
    assert_ok(exa_journal_open(path, NULL, &r));
    assert_string_equal(exa_journal_reader_owner(r)->run_sha256, RUN);
    exa_journal_reader_close(&r);
    bytes = read_file(&size);
    bytes[8]++;
    write_file(bytes, size);
    assert_fails(EXA_ERR_CORRUPT, "damaged", exa_journal_open(path, NULL, &r));
    bytes[0]++;
    write_file(bytes, size);
    assert_fails(EXA_ERR_FORMAT, "is not a journal", exa_journal_open(path, NULL, &r));
    free(bytes);
    assert_fails(EXA_ERR_FORMAT, "no ordinary file", exa_journal_open(folder, RUN, &r));
    unlink(path);
    assert_fails(EXA_ERR_IO, "No such file", exa_journal_open(path, RUN, &r));
    snprintf(bad.run_sha256, sizeof bad.run_sha256, "123");
    assert_fails(EXA_ERR_RANGE, "SHA-256", exa_journal_create(path, &bad, 3, &j));
    assert_false(exa_file_exists(path));
    assert_null(r);
    assert_null(j);
}

/* Records of another run are not taken, even where their bytes lie in our file (blocks that a file system gave
 * back).*/
static void records_of_another_run_are_not_taken(void **state) {
    exa_journal_owner other = owner;
    char second[4200];
    size_t size, more;
    char *bytes, *alien;
    exa_journal *j = NULL;
    uint8_t found[3] = {0};
    exa_journal_damage damage;
    (void)state;
    memcpy(other.run_sha256, OTHER, sizeof OTHER);
    write_records(3, 3);
    bytes = read_file(&size);
    snprintf(second, sizeof second, "%s-2", path);
    assert_ok(exa_journal_create(second, &other, 3, &j));
    assert_ok(exa_journal_append(j, 1, 1000003, "abc", 3, NULL));
    exa_journal_close(&j);
    assert_ok(exa_file_read_all(second, 1 << 20, &alien, &more));
    bytes = realloc(bytes, size + more);
    assert_non_null(bytes);
    memcpy(bytes + size, alien, more);
    write_file(bytes, size + more);
    damage = read_records(found, NULL, NULL);
    assert_int_equal(damage.tail_bytes, more);
    free(alien);
    free(bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(records_come_back),
        TEST(compression_saves_space),
        TEST(changed_bytes_cost_what_they_hit),
        TEST(a_cut_end_costs_what_is_gone),
        TEST(shifted_bytes_cost_what_they_hit),
        TEST(full_disk_takes_nothing_with_it),
        TEST(killed_writer_loses_nothing_synced),
        TEST(wrong_files_are_refused),
        TEST(records_of_another_run_are_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
