/* Processor facts: instruction sets (cpuid), cores (hwloc, affinity mask, cgroup quota), memory (cgroup limits).
 *
 * Everything is read once, at the first call, and stays: a thread that a pool binds later does not shrink what the
 * process is said to own. A container's limits are looked for in every cgroup from ours up to the root, as any of
 * them may be the tight one, and also at the mount itself, since a container may see its own cgroup there under a
 * path that /proc/self/cgroup does not know.
 */
#include "exaconn/cpu.h"

#include "cpu_internal.h"

#include <hwloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODEL_BYTES 128
#define CGROUP_PATH_BYTES 4096

static struct {
    hwloc_topology_t topology; /* NULL if hwloc failed */
    hwloc_cpuset_t mask;       /* what this process may run on */
    int cores_bound;           /* cores in the mask, before the quota */
    int cores;
    unsigned long long memory_bytes;
    char model[MODEL_BYTES];
} cpu;
static pthread_once_t cpu_once = PTHREAD_ONCE_INIT;

exa_isa exa_cpu_best_isa(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        bool all = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                   __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
        return all ? EXA_ISA_AVX512 : EXA_ISA_AVX2;
    }
#endif
    return EXA_ISA_PORTABLE;
}

bool exa_cpu_has(exa_isa isa) {
    return isa <= exa_cpu_best_isa();
}

const char *exa_isa_name(exa_isa isa) {
    static const char *const names[] = {"auto", "portable", "avx2", "avx512"};
    return (unsigned)isa < sizeof names / sizeof *names ? names[isa] : "unknown";
}

int exa_cpu_cores_of_quota(int cores, long long quota_us, long long period_us) {
    if (quota_us <= 0 || period_us <= 0) return cores;
    long long allowed = (quota_us + period_us - 1) / period_us;
    return allowed < cores ? (allowed < 1 ? 1 : (int)allowed) : cores;
}

unsigned long long exa_cpu_smaller_limit(unsigned long long bytes, const char *text) {
    char *end;
    unsigned long long limit = strtoull(text, &end, 10);
    return end != text && limit > 0 && limit < bytes ? limit : bytes; /* "max" has no digits */
}

/* First line of folder/name into text; false if it is not there. */
static bool read_line(const char *folder, const char *name, char *text, int text_bytes) {
    char path[CGROUP_PATH_BYTES + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "re");
    if (!f) return false;
    bool got = fgets(text, text_bytes, f) != NULL;
    fclose(f);
    return got;
}

/* Applies whatever limits (v1 and v2 names) one cgroup folder holds. */
static void apply_cgroup_folder(const char *folder) {
    char text[128], period_text[128];
    long long quota = 0, period = 0;

    if (read_line(folder, "cpu.max", text, sizeof text) && sscanf(text, "%lld %lld", &quota, &period) == 2) {
        cpu.cores = exa_cpu_cores_of_quota(cpu.cores, quota, period);
    }
    if (read_line(folder, "cpu.cfs_quota_us", text, sizeof text) &&
        read_line(folder, "cpu.cfs_period_us", period_text, sizeof period_text)) {
        cpu.cores = exa_cpu_cores_of_quota(cpu.cores, atoll(text), atoll(period_text));
    }
    static const char *const memory_files[] = {"memory.max", "memory.high", "memory.limit_in_bytes"};
    for (size_t i = 0; i < sizeof memory_files / sizeof *memory_files; i++) {
        if (read_line(folder, memory_files[i], text, sizeof text)) {
            cpu.memory_bytes = exa_cpu_smaller_limit(cpu.memory_bytes, text);
        }
    }
}

/* The folder of `path` under `mount` and every parent of it. */
static void apply_cgroup_chain(const char *mount, const char *path) {
    char folder[CGROUP_PATH_BYTES];
    size_t root = strlen(mount);
    int length = snprintf(folder, sizeof folder, "%s%s", mount, path);

    if (length < 0 || (size_t)length >= sizeof folder) return;
    for (;;) {
        apply_cgroup_folder(folder);
        char *slash = strrchr(folder, '/');
        if (!slash || (size_t)(slash - folder) < root) return;
        *slash = '\0';
    }
}

/* Lines of /proc/self/cgroup are "0::/path" (v2) or "4:memory:/path", "2:cpu,cpuacct:/path" (v1). */
static void apply_cgroups(void) {
    char *line = NULL;
    size_t capacity = 0;
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (!f) return;
    while (getline(&line, &capacity, f) > 0) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path) continue;
        *path++ = '\0';
        controllers++;
        if (*controllers == '\0') {
            apply_cgroup_chain("/sys/fs/cgroup", path);
            apply_cgroup_chain("/sys/fs/cgroup/unified", path);
        } else if (strstr(controllers, "memory")) {
            apply_cgroup_chain("/sys/fs/cgroup/memory", path);
        } else if (strstr(controllers, "cpu")) {
            char mount[300];
            snprintf(mount, sizeof mount, "/sys/fs/cgroup/%.256s", controllers);
            apply_cgroup_chain(mount, path);
        }
    }
    free(line);
    fclose(f);
}

static void load_topology(void) {
    if (hwloc_topology_init(&cpu.topology) != 0) {
        cpu.topology = NULL;
        return;
    }
    cpu.mask = hwloc_bitmap_alloc();
    if (!cpu.mask || hwloc_topology_load(cpu.topology) != 0 ||
        hwloc_get_cpubind(cpu.topology, cpu.mask, HWLOC_CPUBIND_THREAD) != 0) {
        hwloc_bitmap_free(cpu.mask);
        hwloc_topology_destroy(cpu.topology);
        cpu.topology = NULL;
        return;
    }
    hwloc_bitmap_and(cpu.mask, cpu.mask, hwloc_topology_get_topology_cpuset(cpu.topology));
}

/* The i-th core that has a hardware thread in the mask; NULL after the last. */
static hwloc_obj_t usable_core(int i) {
    hwloc_obj_t core = NULL;
    while ((core = hwloc_get_next_obj_by_type(cpu.topology, HWLOC_OBJ_CORE, core)) != NULL) {
        if (hwloc_bitmap_intersects(core->cpuset, cpu.mask) && i-- == 0) return core;
    }
    return NULL;
}

/* "model name" on x86, "Model"/"Hardware" elsewhere; the machine architecture if there is none. */
static void read_model(void) {
    char line[512];
    FILE *f = fopen("/proc/cpuinfo", "re");
    snprintf(cpu.model, sizeof cpu.model, "unknown processor");
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (!colon || (strncmp(line, "model name", 10) != 0 && strncmp(line, "Model", 5) != 0)) continue;
        colon += 1 + strspn(colon + 1, " \t");
        colon[strcspn(colon, "\n")] = '\0';
        snprintf(cpu.model, sizeof cpu.model, "%.*s", MODEL_BYTES - 1, colon);
        break;
    }
    if (f) fclose(f);
}

static void load_once(void) {
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE),
         online = sysconf(_SC_NPROCESSORS_ONLN);

    load_topology();
    if (cpu.topology) {
        while (usable_core(cpu.cores_bound)) cpu.cores_bound++;
        if (cpu.cores_bound == 0)
            cpu.cores_bound = hwloc_bitmap_weight(cpu.mask); /* no core objects: count threads */
    } else {
        cpu.cores_bound = online > 0 ? (int)online : 1;
    }
    if (cpu.cores_bound < 1) cpu.cores_bound = 1;
    cpu.cores = cpu.cores_bound;
    cpu.memory_bytes = pages > 0 && page_bytes > 0 ? (unsigned long long)pages * (unsigned long long)page_bytes : 0;
    if (cpu.memory_bytes == 0) cpu.memory_bytes = 1ULL << 30;
    apply_cgroups();
    read_model();
}

int exa_cpu_cores(void) {
    pthread_once(&cpu_once, load_once);
    return cpu.cores;
}

int exa_cpu_share(int cores, int all, int processes) {
    if (processes <= 1 || cores <= all / processes) return cores; /* bound: nobody else is on them */
    return all / processes > 1 ? all / processes : 1;
}

int exa_cpu_cores_of(int processes) {
    int all;

    pthread_once(&cpu_once, load_once);
    all = cpu.topology ? hwloc_get_nbobjs_by_type(cpu.topology, HWLOC_OBJ_CORE) : cpu.cores_bound;
    if (all < 1 || cpu.cores < cpu.cores_bound) all = cpu.cores; /* a quota is for all of them */
    return exa_cpu_share(cpu.cores, all, processes);
}

unsigned long long exa_cpu_memory_bytes(void) {
    pthread_once(&cpu_once, load_once);
    return cpu.memory_bytes;
}

const char *exa_cpu_model(void) {
    pthread_once(&cpu_once, load_once);
    return cpu.model;
}

bool exa_cpu_bind_core(int i) {
    pthread_once(&cpu_once, load_once);
    hwloc_obj_t core = cpu.topology ? usable_core(i % cpu.cores_bound) : NULL;
    hwloc_cpuset_t set = core ? hwloc_bitmap_dup(core->cpuset) : NULL;
    if (!set) return false;
    hwloc_bitmap_and(set, set, cpu.mask);
    bool bound = hwloc_set_cpubind(cpu.topology, set, HWLOC_CPUBIND_THREAD) == 0;
    hwloc_bitmap_free(set);
    return bound;
}

/* A quota holds for whatever is left, so the smaller of the two counts. */
static void count_cores_again(void) {
    int cores = 0;

    while (usable_core(cores)) cores++;
    if (cores < 1) cores = hwloc_bitmap_weight(cpu.mask);
    cpu.cores_bound = cores;
    if (cores < cpu.cores) cpu.cores = cores;
}

bool exa_cpu_narrow(const char *list) {
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    bool narrower;

    pthread_once(&cpu_once, load_once);
    narrower = set && cpu.topology && *list && hwloc_bitmap_list_sscanf(set, list) == 0 &&
               hwloc_bitmap_intersects(set, cpu.mask) && !hwloc_bitmap_isincluded(cpu.mask, set);
    if (narrower) {
        hwloc_bitmap_and(set, set, cpu.mask);
        narrower = hwloc_set_cpubind(cpu.topology, set, HWLOC_CPUBIND_PROCESS) == 0;
    }
    if (narrower) {
        hwloc_bitmap_copy(cpu.mask, set);
        count_cores_again();
    }
    hwloc_bitmap_free(set);
    return narrower;
}

void exa_cpu_unbind(void) {
    pthread_once(&cpu_once, load_once);
    if (cpu.topology) (void)hwloc_set_cpubind(cpu.topology, cpu.mask, HWLOC_CPUBIND_THREAD);
}
