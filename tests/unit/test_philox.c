/* Philox4x32-10 against the known answers of its authors (Random123, kat_vectors), and what is made of it. */
#include "test_util.h"

#include "exaconn/philox.h"

static void known_answers(void **state) {
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } answers[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        uint32_t out[4];
        exa_philox_block(answers[i].counter, answers[i].key, out);
        assert_memory_equal(out, answers[i].out, sizeof out);
    }
}

static void numbers_in_range(void **state) {
    uint64_t count[7] = {0}, bits[2];
    double sum = 0;

    (void)state;
    for (uint64_t i = 0; i < 70000; i++) {
        exa_philox(5, 9, i, bits);
        count[exa_philox_below(bits[0], 7)]++;
        sum += exa_philox_unit(bits[1]);
    }
    for (int k = 0; k < 7; k++) assert_in_range(count[k], 9600, 10400); /* 4 standard deviations */
    assert_true(sum / 70000 > 0.495 && sum / 70000 < 0.505);
    assert_int_equal(exa_philox_below(UINT64_MAX, 3), 2);
    assert_int_equal(exa_philox_below(0, 3), 0);
    assert_true(exa_philox_unit(UINT64_MAX) < 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_answers), cmocka_unit_test(numbers_in_range)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
