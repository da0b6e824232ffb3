/* Which rank gets which GPU: the rule against a search through all sharings, and distances in made-up machines. */
#include "test_util.h"

#include "exaconn/box.h"
#include "exaconn/cpu.h"
#include "exaconn/placement.h"

#include "core/placement_internal.h"

#include <sched.h>

/* ---- the rule ------------------------------------------------------------------------------------------------ */

static void expect_choice(int ranks, int devices, const int *distance, const int *expected) {
    int choice[64];
    assert_ok(exa_placement_share(ranks, devices, distance, choice));
    for (int r = 0; r < ranks; r++) assert_int_equal(choice[r], expected[r]);
}

static void test_plain_sharings(void **state) {
    const int equal[32] = {0};
    (void)state;
    expect_choice(1, 0, equal, (const int[]){-1});
    expect_choice(1, 4, equal, (const int[]){0});
    expect_choice(4, 4, equal, (const int[]){0, 1, 2, 3});
    expect_choice(8, 2, equal, (const int[]){0, 1, 0, 1, 0, 1, 0, 1});
    expect_choice(3, 8, equal, (const int[]){0, 1, 2});
}

/* Two packages with two GPUs each; ranks bound to packages. */
static void test_near_ones_first(void **state) {
    const int four[4][4] = {{2, 2, 0, 0}, {0, 0, 2, 2}, {2, 2, 0, 0}, {0, 0, 2, 2}};
    const int crowd[4][2] = {{0, 2}, {0, 2}, {0, 2}, {0, 2}};
    (void)state;
    expect_choice(4, 4, &four[0][0], (const int[]){2, 0, 3, 1});
    /* All are near one GPU: even sharing counts more. */
    int choice[4], on_first = 0;
    assert_ok(exa_placement_share(4, 2, &crowd[0][0], choice));
    for (int r = 0; r < 4; r++) on_first += choice[r] == 0;
    assert_int_equal(on_first, 2);
}

/* CUDA_VISIBLE_DEVICES shows each rank another set, as Slurm does with --gpus-per-task; one sees nothing. */
static void test_unequal_views(void **state) {
    const int own[3][3] = {{-1, -1, 0}, {0, -1, -1}, {-1, 0, -1}};
    const int some[4][3] = {{0, 0, -1}, {0, -1, -1}, {-1, -1, -1}, {0, 0, 0}};
    (void)state;
    expect_choice(3, 3, &own[0][0], (const int[]){2, 0, 1});
    expect_choice(4, 3, &some[0][0], (const int[]){1, 0, -1, 2});
}

static long cost_of(int ranks, int devices, const int *distance, const int *choice) {
    long squares = 0, far = 0;
    for (int d = 0; d < devices; d++) {
        long n = 0;
        for (int r = 0; r < ranks; r++) n += choice[r] == d;
        squares += n * n;
    }
    for (int r = 0; r < ranks; r++) far += choice[r] < 0 ? 0 : distance[r * devices + choice[r]];
    return squares * 1000 + far;
}

/* The least cost over all sharings, one by one. */
static long search(int ranks, int devices, const int *distance) {
    int choice[8];
    long best = -1, all = 1;

    for (int r = 0; r < ranks; r++) all *= devices;
    for (long k = 0; k < all; k++) {
        bool possible = true;
        long rest = k;
        for (int r = 0; r < ranks; r++) {
            bool blind = true;
            for (int d = 0; d < devices; d++) blind = blind && distance[r * devices + d] < 0;
            choice[r] = (int)(rest % devices);
            rest /= devices;
            if (blind) {
                choice[r] = -1;
            } else if (distance[r * devices + choice[r]] < 0) {
                possible = false;
            }
        }
        if (!possible) continue;
        long cost = cost_of(ranks, devices, distance, choice);
        if (best < 0 || cost < best) best = cost;
    }
    return best;
}

static void test_against_search(void **state) {
    uint64_t seed = 5;
    (void)state;
    for (int trial = 0; trial < 400; trial++) {
        int ranks = 1 + (int)(test_random(&seed) % 6), devices = 1 + (int)(test_random(&seed) % 4);
        int distance[24], choice[6];
        for (int i = 0; i < ranks * devices; i++) distance[i] = (int)(test_random(&seed) % 4) - 1;
        assert_ok(exa_placement_share(ranks, devices, distance, choice));
        for (int r = 0; r < ranks; r++)
            if (choice[r] >= 0) assert_true(distance[r * devices + choice[r]] >= 0);
        assert_int_equal(cost_of(ranks, devices, distance, choice), search(ranks, devices, distance));
    }
}

/* A large node: 128 ranks, 56 slices; every slice gets two or three. */
static void test_large_node(void **state) {
    enum { RANKS = 128, SLICES = 56 };
    int *distance = calloc(RANKS * SLICES, sizeof *distance), choice[RANKS], load[SLICES] = {0};
    (void)state;
    for (int i = 0; i < RANKS * SLICES; i++) distance[i] = i / SLICES % 2 == i % 2 ? 0 : 2;
    assert_ok(exa_placement_share(RANKS, SLICES, distance, choice));
    for (int r = 0; r < RANKS; r++) {
        assert_int_equal(choice[r] % 2, r % 2);
        load[choice[r]]++;
    }
    for (int d = 0; d < SLICES; d++) assert_in_range(load[d], 2, 3);
    free(distance);
}

/* ---- distances in made-up machines --------------------------------------------------------------------------- */

/* Two packages of four cores, each of two NUMA nodes; a GPU beside the second node of package 0, one beside package
 * 1 as a whole, and one of which only the machine is known. In the form that `lstopo file.xml` writes. */
static const char two_packages[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE topology SYSTEM \"hwloc2.dtd\">\n"
    "<topology version=\"2.0\">\n"
    "<object type=\"Machine\" os_index=\"0\" cpuset=\"0xff\" complete_cpuset=\"0xff\" allowed_cpuset=\"0xff\" "
    "nodeset=\"0xf\" complete_nodeset=\"0xf\" allowed_nodeset=\"0xf\" gp_index=\"1\">\n"
    "%s"
    "<object type=\"Bridge\" gp_index=\"50\" bridge_type=\"0-1\" depth=\"0\" bridge_pci=\"0002:[00-1f]\">\n"
    "<object type=\"PCIDev\" gp_index=\"51\" pci_busid=\"0002:01:00.0\" pci_type=\"0302 [10de:2330] [10de:16c1] "
    "a1\" "
    "pci_link_speed=\"63.0\"/>\n</object>\n"
    "</object>\n</topology>\n";

static void add_node(char *to, size_t bytes, int node, const char *inside) {
    char piece[3000];
    unsigned mask = 3u << 2 * node;
    int at = snprintf(piece, sizeof piece,
                      "<object type=\"Group\" kind=\"1001\" subkind=\"0\" cpuset=\"0x%x\" complete_cpuset=\"0x%x\" "
                      "nodeset=\"0x%x\" complete_nodeset=\"0x%x\" gp_index=\"%d\">\n"
                      "<object type=\"NUMANode\" os_index=\"%d\" cpuset=\"0x%x\" complete_cpuset=\"0x%x\" "
                      "nodeset=\"0x%x\" complete_nodeset=\"0x%x\" gp_index=\"%d\" local_memory=\"1073741824\"/>\n",
                      mask, mask, 1u << node, 1u << node, 100 + node, node, mask, mask, 1u << node, 1u << node,
                      110 + node);
    for (int core = 2 * node; core < 2 * node + 2; core++)
        at += snprintf(
            piece + at, sizeof piece - (size_t)at,
            "<object type=\"Core\" os_index=\"%d\" cpuset=\"0x%x\" complete_cpuset=\"0x%x\" nodeset=\"0x%x\" "
            "complete_nodeset=\"0x%x\" gp_index=\"%d\">\n<object type=\"PU\" os_index=\"%d\" cpuset=\"0x%x\" "
            "complete_cpuset=\"0x%x\" nodeset=\"0x%x\" complete_nodeset=\"0x%x\" gp_index=\"%d\"/>\n</object>\n",
            core, 1u << core, 1u << core, 1u << node, 1u << node, 120 + core, core, 1u << core, 1u << core,
            1u << node, 1u << node, 140 + core);
    strncat(to, piece, bytes - strlen(to) - 1);
    strncat(to, inside, bytes - strlen(to) - 1);
    strncat(to, "</object>\n", bytes - strlen(to) - 1);
}

static void add_package(char *to, size_t bytes, int package, const char *in_node, const char *in_package) {
    char head[512];
    snprintf(head, sizeof head,
             "<object type=\"Package\" os_index=\"%d\" cpuset=\"0x%x\" complete_cpuset=\"0x%x\" nodeset=\"0x%x\" "
             "complete_nodeset=\"0x%x\" gp_index=\"%d\">\n",
             package, 0xfu << 4 * package, 0xfu << 4 * package, 3u << 2 * package, 3u << 2 * package, 90 + package);
    strncat(to, head, bytes - strlen(to) - 1);
    add_node(to, bytes, 2 * package, "");
    add_node(to, bytes, 2 * package + 1, in_node);
    strncat(to, in_package, bytes - strlen(to) - 1);
    strncat(to, "</object>\n", bytes - strlen(to) - 1);
}

static hwloc_topology_t make_machine(void) {
    static const char in_node[] =
        "<object type=\"Bridge\" gp_index=\"30\" bridge_type=\"0-1\" depth=\"0\" bridge_pci=\"0000:[00-1f]\">\n"
        "<object type=\"PCIDev\" gp_index=\"31\" pci_busid=\"0000:01:00.0\" pci_type=\"0302 [10de:2330] "
        "[10de:16c1] a1\" "
        "pci_link_speed=\"63.0\"/>\n</object>\n";
    static const char in_package[] =
        "<object type=\"Bridge\" gp_index=\"40\" bridge_type=\"0-1\" depth=\"0\" bridge_pci=\"0001:[00-1f]\">\n"
        "<object type=\"PCIDev\" gp_index=\"41\" pci_busid=\"0001:01:00.0\" pci_type=\"0302 [10de:2330] "
        "[10de:16c1] a1\" "
        "pci_link_speed=\"63.0\"/>\n</object>\n";
    static char packages[16384], xml[20000];
    hwloc_topology_t topology;

    packages[0] = '\0';
    add_package(packages, sizeof packages, 0, in_node, "");
    add_package(packages, sizeof packages, 1, "", in_package);
    snprintf(xml, sizeof xml, two_packages, packages);
    assert_int_equal(hwloc_topology_init(&topology), 0);
    hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_ALL);
    assert_int_equal(hwloc_topology_set_xmlbuffer(topology, xml, (int)strlen(xml) + 1), 0);
    assert_int_equal(hwloc_topology_load(topology), 0);
    assert_int_equal(hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PCI_DEVICE), 3);
    return topology;
}

static void expect_distance(hwloc_topology_t topology, const char *cores, const char *pci,
                            exa_placement_distance expected) {
    hwloc_bitmap_t mask = hwloc_bitmap_alloc();
    assert_int_equal(hwloc_bitmap_list_sscanf(mask, cores), 0);
    assert_int_equal(exa_placement_measure(topology, mask, pci), expected);
    hwloc_bitmap_free(mask);
}

static void test_distances(void **state) {
    hwloc_topology_t topology = make_machine();
    char cores[64];
    (void)state;
    expect_distance(topology, "2-3", "0000:01:00.0", EXA_PLACEMENT_NEAR);
    expect_distance(topology, "0-1", "0000:01:00.0", EXA_PLACEMENT_PACKAGE);
    expect_distance(topology, "4", "0000:01:00.0", EXA_PLACEMENT_FAR);
    expect_distance(topology, "0-7", "0000:01:00.0", EXA_PLACEMENT_NEAR); /* not bound */
    expect_distance(topology, "5", "0001:01:00.0", EXA_PLACEMENT_NEAR);
    expect_distance(topology, "7", "0001:01:00.0", EXA_PLACEMENT_NEAR);
    expect_distance(topology, "0", "0001:01:00.0", EXA_PLACEMENT_FAR);
    expect_distance(topology, "0", "0002:01:00.0", EXA_PLACEMENT_NEAR); /* nobody knows */
    expect_distance(topology, "0", "0009:01:00.0", EXA_PLACEMENT_NEAR); /* not there */
    expect_distance(topology, "0", "", EXA_PLACEMENT_NEAR);
    hwloc_bitmap_list_snprintf(cores, sizeof cores, exa_placement_beside(topology, "0000:01:00.0"));
    assert_string_equal(cores, "2-3");
    assert_null(exa_placement_beside(topology, "0002:01:00.0"));
    hwloc_topology_destroy(topology);
}

/* Eight ranks bound to a core each, three GPUs: near ones as far as even sharing allows. */
static void test_whole_machine(void **state) {
    static const char *const pci[3] = {"0000:01:00.0", "0001:01:00.0", "0002:01:00.0"};
    hwloc_topology_t topology = make_machine();
    int distance[24], choice[8], load[3] = {0}, far = 0;
    (void)state;
    for (int r = 0; r < 8; r++) {
        hwloc_bitmap_t mask = hwloc_bitmap_alloc();
        hwloc_bitmap_only(mask, (unsigned)r);
        for (int d = 0; d < 3; d++) distance[3 * r + d] = (int)exa_placement_measure(topology, mask, pci[d]);
        hwloc_bitmap_free(mask);
    }
    assert_ok(exa_placement_share(8, 3, distance, choice));
    for (int r = 0; r < 8; r++) {
        load[choice[r]]++;
        far += distance[3 * r + choice[r]];
    }
    assert_int_equal(load[0] * load[0] + load[1] * load[1] + load[2] * load[2], 9 + 9 + 4);
    assert_int_equal(far, 0); /* two on the first, three on each other */
    hwloc_topology_destroy(topology);
}

/* A synthetic machine has no PCI devices: every GPU counts as near, as in many virtual machines. */
static void test_no_pci(void **state) {
    hwloc_topology_t topology;
    (void)state;
    assert_int_equal(hwloc_topology_init(&topology), 0);
    assert_int_equal(hwloc_topology_set_synthetic(topology, "pack:2 numa:2 core:4 pu:2"), 0);
    assert_int_equal(hwloc_topology_load(topology), 0);
    expect_distance(topology, "0", "0000:3b:00.0", EXA_PLACEMENT_NEAR);
    hwloc_topology_destroy(topology);
}

/* ---- this machine -------------------------------------------------------------------------------------------- */

static void test_choose_here(void **state) {
    exa_placement p = {.device = 77};
    const char *reason;
    const int count = exa_device_count(&reason);
    (void)state;
    assert_ok(exa_placement_choose(&p));
    if (count == 0) {
        assert_int_equal(p.device, -1);
        assert_true(p.reason && *p.reason);
        assert_false(exa_placement_bind(&p));
        return;
    }
    assert_in_range(p.device, 0, count - 1);
    assert_int_equal(p.sharers, 1);
    assert_true(p.facts.memory_bytes > 0);
}

static void test_narrow(void **state) {
    cpu_set_t mask;
    char one[16];
    int first = 0;
    (void)state;
    assert_false(exa_cpu_narrow(""));
    assert_false(exa_cpu_narrow("0-100000")); /* more than there are */
    assert_false(exa_cpu_narrow("99999"));    /* none that there are */
    assert_int_equal(sched_getaffinity(0, sizeof mask, &mask), 0);
    if (CPU_COUNT(&mask) < 2) {
        fprintf(stderr, "SKIP: one hardware thread cannot be made fewer\n");
        skip();
    }
    while (!CPU_ISSET(first, &mask)) first++;
    snprintf(one, sizeof one, "%d", first);
    if (!exa_cpu_narrow(one)) {
        fprintf(stderr, "SKIP: this system refuses to bind processes\n");
        skip();
    }
    assert_int_equal(sched_getaffinity(0, sizeof mask, &mask), 0);
    assert_int_equal(CPU_COUNT(&mask), 1);
    assert_int_equal(exa_cpu_cores(), 1);
    exa_cpu_unbind(); /* goes no further than what is left */
    assert_int_equal(sched_getaffinity(0, sizeof mask, &mask), 0);
    assert_int_equal(CPU_COUNT(&mask), 1);
}

static void test_uuid_text(void **state) {
    unsigned char uuid[EXA_DEVICE_UUID_BYTES];
    char text[EXA_DEVICE_UUID_TEXT_BYTES];
    (void)state;
    for (int i = 0; i < EXA_DEVICE_UUID_BYTES; i++) uuid[i] = (unsigned char)(17 * i);
    exa_device_uuid_text(uuid, text);
    assert_string_equal(text, "GPU-00112233-4455-6677-8899-aabbccddeeff");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_sharings), cmocka_unit_test(test_near_ones_first),
        cmocka_unit_test(test_unequal_views),  cmocka_unit_test(test_against_search),
        cmocka_unit_test(test_large_node),     cmocka_unit_test(test_distances),
        cmocka_unit_test(test_whole_machine),  cmocka_unit_test(test_no_pci),
        cmocka_unit_test(test_choose_here),    cmocka_unit_test(test_uuid_text),
        cmocka_unit_test(test_narrow), /* last: it leaves one core */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
