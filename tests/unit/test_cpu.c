/* Processor facts: bounds any machine keeps, and the arithmetic of container limits. */
#include "test_util.h"

#include "exaconn/cpu.h"
#include "exaconn/plan.h"

#include "core/cpu_internal.h"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_isa(void **state) {
    (void)state;
    exa_isa best = exa_cpu_best_isa();
    assert_in_range(best, EXA_ISA_PORTABLE, EXA_ISA_AVX512);
    assert_true(exa_cpu_has(EXA_ISA_PORTABLE));
    assert_true(exa_cpu_has(best));
    if (best < EXA_ISA_AVX512) assert_false(exa_cpu_has(EXA_ISA_AVX512));
    assert_string_equal(exa_isa_name(EXA_ISA_AUTO), "auto");
    assert_string_equal(exa_isa_name(EXA_ISA_PORTABLE), "portable");
    assert_string_equal(exa_isa_name(EXA_ISA_AVX2), "avx2");
    assert_string_equal(exa_isa_name(EXA_ISA_AVX512), "avx512");
    assert_string_equal(exa_isa_name((exa_isa)77), "unknown");
}

static void test_cores_lie_in_the_mask(void **state) {
    (void)state;
    cpu_set_t mask;
    assert_int_equal(sched_getaffinity(0, sizeof mask, &mask), 0);
    assert_in_range(exa_cpu_cores(), 1, CPU_COUNT(&mask));
}

static void test_binding_and_back(void **state) {
    (void)state;
    cpu_set_t before, bound, after;
    (void)exa_cpu_cores();
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    if (!exa_cpu_bind_core(1)) {
        fprintf(stderr, "SKIP: this system refuses to bind threads\n");
        skip();
    }
    assert_int_equal(sched_getaffinity(0, sizeof bound, &bound), 0);
    assert_true(CPU_COUNT(&bound) <= CPU_COUNT(&before));
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &bound)) assert_true(CPU_ISSET(i, &before));
    }
    exa_cpu_unbind();
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_true(CPU_EQUAL(&before, &after));
}

static void test_quota(void **state) {
    (void)state;
    assert_int_equal(exa_cpu_share(8, 8, 1), 8);
    assert_int_equal(exa_cpu_share(8, 8, 2), 4); /* not bound: each sees all */
    assert_int_equal(exa_cpu_share(4, 8, 2), 4); /* bound */
    assert_int_equal(exa_cpu_share(1, 8, 16), 1);
    assert_int_equal(exa_cpu_share(2, 2, 3), 1);
    assert_int_equal(exa_cpu_share(3, 8, 2), 3);
    assert_int_equal(exa_cpu_cores_of_quota(8, -1, 100000), 8); /* v1: no limit */
    assert_int_equal(exa_cpu_cores_of_quota(8, 0, 100000), 8);
    assert_int_equal(exa_cpu_cores_of_quota(8, 250000, 100000), 3); /* 2.5 cores: round up */
    assert_int_equal(exa_cpu_cores_of_quota(8, 10000, 100000), 1);
    assert_int_equal(exa_cpu_cores_of_quota(2, 900000, 100000), 2);
    assert_int_equal(exa_cpu_cores_of_quota(2, 9223372036854775LL, 100000), 2);
}

static void test_memory(void **state) {
    (void)state;
    unsigned long long physical =
        (unsigned long long)sysconf(_SC_PHYS_PAGES) * (unsigned long long)sysconf(_SC_PAGESIZE);
    assert_true(exa_cpu_memory_bytes() >= 1 << 20);
    assert_true(exa_cpu_memory_bytes() <= physical);
    assert_int_equal(exa_cpu_smaller_limit(1000, "max\n"), 1000);
    assert_int_equal(exa_cpu_smaller_limit(1000, "999\n"), 999);
    assert_int_equal(exa_cpu_smaller_limit(1000, "9223372036854771712\n"), 1000); /* v1: no limit */
    assert_int_equal(exa_cpu_smaller_limit(1000, ""), 1000);
}

static void test_model(void **state) {
    (void)state;
    assert_non_null(exa_cpu_model());
    assert_true(strlen(exa_cpu_model()) > 0);
}

/* What a run does that binds itself to the cores beside its GPU: no more threads than cores are left, but for those
 * that the job gives. In a process of its own, as it stays bound. */
static void test_fewer_cores_fewer_threads(void **state) {
    cpu_set_t mask;
    char list[16];
    int first = 0, status = -1;
    pid_t child;
    (void)state;
    if (exa_cpu_cores() < 2) skip();
    assert_int_equal(sched_getaffinity(0, sizeof mask, &mask), 0);
    while (!CPU_ISSET(first, &mask)) first++;
    snprintf(list, sizeof list, "%d", first);
    assert_true((child = fork()) >= 0);
    if (child == 0) {
        exa_job any = {.compute.threads = 0}, given = {.compute.threads = 3};
        int before = 0, after = 0, asked = 0;
        unsetenv("EXACONN_THREADS");
        bool ok = exa_plan_threads(&any, &before) == EXA_OK && exa_cpu_narrow(list) &&
                  exa_plan_threads(&any, &after) == EXA_OK && exa_plan_threads(&given, &asked) == EXA_OK;
        _exit(ok && before > 1 && after == 1 && asked == 3 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_isa),
        cmocka_unit_test(test_cores_lie_in_the_mask),
        cmocka_unit_test(test_quota),
        cmocka_unit_test(test_binding_and_back),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_fewer_cores_fewer_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
