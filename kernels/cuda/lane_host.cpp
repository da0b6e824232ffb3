/* Fibers, barriers, warps' operations and shared memory for kernels that run on the CPU (lane_host.h).
 *
 *   run_kernel     blocks in a drawn order, one after another
 *     run_block    draws a warp that can go on, runs each of its lanes until it waits, then does what they wait for
 *       fiber      the kernel's body for one thread, on a stack of its own
 */
#include "cuda/lane.cuh"
#include "cuda/lane_test.h"

#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

#include <algorithm>
#include <map>
#include <numeric>
#include <vector>

namespace exa_emu {

thread_local uint3 current_thread, current_block;
thread_local dim3 current_block_dim, current_grid_dim;
thread_local counters counted;

enum : size_t { STACK_BYTES = 256 * 1024, PAGE = 4096, STATIC_SHARED_BYTES = 48 * 1024, SHARED_ALIGN = 1024 };

/* ---- switching stacks: callee-saved registers only ---------------------------------------------- */

#if defined __x86_64__
extern "C" void exa_emu_switch(void **save, void *load);
asm(R"(
.text
.globl exa_emu_switch
.hidden exa_emu_switch
.type exa_emu_switch, @function
exa_emu_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size exa_emu_switch, .-exa_emu_switch
)");

static void *prepare_stack(unsigned char *top, void (*entry)()) {
    void **sp = reinterpret_cast<void **>(top) - 1; /* as if called: 16-byte aligned before the return address */
    *sp-- = nullptr;
    *sp-- = reinterpret_cast<void *>(entry);
    for (int i = 0; i < 6; i++) *sp-- = nullptr;
    return sp + 1;
}
typedef void *context;
static void context_make(context *c, unsigned char *stack, size_t bytes, void (*entry)()) {
    *c = prepare_stack(stack + bytes, entry);
}
static void context_switch(context *from, context *to) {
    exa_emu_switch(from, *to);
}
#else
#include <ucontext.h>
typedef ucontext_t context;
static void context_make(context *c, unsigned char *stack, size_t bytes, void (*entry)()) {
    getcontext(c);
    c->uc_stack.ss_sp = stack;
    c->uc_stack.ss_size = bytes;
    c->uc_link = nullptr;
    makecontext(c, entry, 0);
}
static void context_switch(context *from, context *to) {
    swapcontext(from, to);
}
#endif

/* ---- state -------------------------------------------------------------------------------------- */

struct thread {
    context at;
    uint3 index;
    wait waits;
    operands *op;     /* of what it waits for in its warp */
    const char *file; /* of the barrier it waits at */
    int line;
    std::vector<pending_copy> copies;
    int groups; /* committed so far */
    unsigned char *stack;
};

struct block_state {
    context scheduler;
    std::vector<thread> threads;
    thread *running;
    const std::function<void()> *body;
    unsigned char *shared; /* SHARED_ALIGN-aligned: dynamic, then static */
    size_t dynamic_bytes, static_begin, static_used;
    std::map<int, size_t> statics;
    bool active;
};
static thread_local block_state state;
static thread_local uint64_t random_state;
static thread_local bool random_begun;

void set_seed(uint64_t seed) {
    random_state = seed;
    random_begun = true;
}

uint64_t draw(uint64_t below) {
    if (!random_begun) {
        const char *text = getenv("EXA_LANE_SEED");
        set_seed(text ? strtoull(text, nullptr, 0) : 1);
    }
    uint64_t z = (random_state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (z ^ (z >> 31)) % below;
}

template <class T> static void shuffle_order(T *items, size_t n) {
    for (size_t i = n; i > 1; i--) std::swap(items[i - 1], items[draw(i)]);
}

void stop(const char *file, int line, const char *format, ...) {
    va_list list;
    va_start(list, format);
    fprintf(stderr, "%s:%d: kernel: ", file, line);
    vfprintf(stderr, format, list);
    fprintf(stderr, " (block %u,%u,%u thread %u,%u,%u)\n", current_block.x, current_block.y, current_block.z,
            current_thread.x, current_thread.y, current_thread.z);
    va_end(list);
    abort();
}

int lane_number() {
    return static_cast<int>((state.running - state.threads.data()) % 32);
}

static void go_to_scheduler() {
    thread *self = state.running;
    context_switch(&self->at, &state.scheduler);
    current_thread = self->index;
}

void meet_warp(operands *o) {
    if (!state.active) stop(o->file, o->line, "a warp's operation outside a kernel");
    if (!(o->mask >> lane_number() & 1))
        stop(o->file, o->line, "lane %d is not in its own mask %08x", lane_number(), o->mask);
    state.running->op = o;
    state.running->waits = wait::warp;
    go_to_scheduler();
}

void meet_block(const char *file, int line) {
    if (!state.active) stop(file, line, "a barrier outside a kernel");
    state.running->file = file;
    state.running->line = line;
    state.running->waits = wait::barrier;
    go_to_scheduler();
}

/* ---- shared memory and asynchronous copies ------------------------------------------------------ */

unsigned char *dynamic_shared() {
    return state.shared;
}

void *static_shared(int id, size_t bytes, size_t align) {
    auto found = state.statics.find(id);
    if (found != state.statics.end()) return state.shared + found->second;
    size_t at = (state.static_begin + state.static_used + align - 1) / align * align;
    if (at + bytes > state.static_begin + STATIC_SHARED_BYTES) {
        stop(__FILE__, __LINE__, "more than %zu bytes of static shared memory", size_t(STATIC_SHARED_BYTES));
    }
    state.static_used = at + bytes - state.static_begin;
    state.statics[id] = at;
    return state.shared + at;
}

uint32_t shared_address(const void *p) {
    return static_cast<uint32_t>(static_cast<const unsigned char *>(p) - state.shared);
}

unsigned char *shared_pointer(uint32_t address, size_t bytes, const char *file, int line) {
    bool dynamic = address + bytes <= state.dynamic_bytes;
    bool fixed = address >= state.static_begin && address + bytes <= state.static_begin + state.static_used;
    if (!dynamic && !fixed) {
        stop(file, line, "shared memory at %u, %zu bytes; the block has %zu", address, bytes, state.dynamic_bytes);
    }
    return state.shared + address;
}

void copy_async(uint32_t to, const void *from, int bytes, const char *file, int line) {
    thread *self = state.running;
    if (to % 16 != 0 || (bytes > 0 && reinterpret_cast<uintptr_t>(from) % 16 != 0)) {
        stop(file, line, "an asynchronous copy of 16 bytes is not aligned");
    }
    if (bytes < 0 || bytes > 16) stop(file, line, "an asynchronous copy of %d bytes", bytes);
    memset(shared_pointer(to, 16, file, line), 0xff, 16);
    self->copies.push_back({to, from, bytes, self->groups});
    counted.async_copy_bytes += 16;
}

void commit_copies() {
    state.running->groups++;
}

void wait_copies(int newest) {
    thread *self = state.running;
    size_t kept = 0;
    for (const pending_copy &c : self->copies) {
        if (c.group >= self->groups - newest) {
            self->copies[kept++] = c;
            continue;
        }
        memset(state.shared + c.to, 0, 16);
        if (c.bytes > 0) memcpy(state.shared + c.to, c.from, static_cast<size_t>(c.bytes));
    }
    self->copies.resize(kept);
}

/* ---- fp16 --------------------------------------------------------------------------------------- */

static uint16_t half_of(float x) {
    uint32_t bits = __float_as_uint(x), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return 0x7fff;                                 /* NaN, as the device makes it */
    if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u); /* from 65520: infinity */
    uint32_t shift = 13, exponent = magnitude >> 23;
    if (exponent < 113) { /* below 2^-14: a multiple of 2^-24 */
        if (exponent < 102) return static_cast<uint16_t>(sign);
        shift = 126 - exponent;
        magnitude = (magnitude & 0x7fffffu) | 0x800000u;
    } else {
        magnitude -= 112u << 23;
    }
    uint32_t kept = magnitude >> shift, rest = magnitude & ((1u << shift) - 1), half = 1u << (shift - 1);
    if (rest > half || (rest == half && (kept & 1))) kept++;
    return static_cast<uint16_t>(sign | kept);
}

uint32_t half2_of(float lo, float hi) {
    return half_of(lo) | static_cast<uint32_t>(half_of(hi)) << 16;
}

float float_of_half(uint16_t h) {
    uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16, exponent = h >> 10 & 31u, fraction = h & 0x3ffu;
    if (exponent == 31) return __uint_as_float(sign | 0x7f800000u | fraction << 13);
    if (exponent == 0) {
        float value = static_cast<float>(fraction) * 0x1p-24f;
        return sign ? -value : value;
    }
    return __uint_as_float(sign | (exponent + 112) << 23 | fraction << 13);
}

/* ---- a warp's operations ------------------------------------------------------------------------ */

static void do_shuffle(thread *const *lanes, unsigned mask) {
    for (int i = 0; i < 32; i++) {
        if (!(mask >> i & 1)) continue;
        operands *o = lanes[i]->op;
        int source = o->source_lane;
        if (source < 0 || source > 31 || !(mask >> source & 1)) {
            stop(o->file, o->line, "lane %d shuffles from lane %d, which takes no part", i, source);
        }
        *o->out = *lanes[source]->op->in_a;
    }
}

static void do_vote(thread *const *lanes, unsigned mask) {
    uint32_t votes = 0;
    for (int i = 0; i < 32; i++)
        if (mask >> i & 1) votes |= (*lanes[i]->op->in_a & 1u) << i;
    for (int i = 0; i < 32; i++)
        if (mask >> i & 1) *lanes[i]->op->out = votes;
}

/* Row r of tile m comes from the address of lane 8m + r; lane i receives word i % 4 of row i / 4 of each tile. */
static void do_matrices(thread *const *lanes) {
    for (int m = 0; m < 4; m++) {
        int in_bank[8] = {0}, worst = 0;
        for (int r = 0; r < 8; r++) {
            operands *o = lanes[8 * m + r]->op;
            if (o->address % 16 != 0) stop(o->file, o->line, "a matrix row at address %u", o->address);
            const unsigned char *row = shared_pointer(o->address, 16, o->file, o->line);
            for (int w = 0; w < 4; w++) memcpy(&lanes[4 * r + w]->op->out[m], row + 4 * w, 4);
            worst = std::max(worst, ++in_bank[o->address / 16 % 8]);
        }
        counted.bank_conflicts += static_cast<uint64_t>(worst - 1);
    }
    counted.matrix_loads++;
}

/* d[16][8] += a[16][K] b[K][8] in fp32, one product after another. The device adds the products of an instruction
 * in a wider, truncating sum: results agree to rounding only. */
template <int K> static void multiply(const float (&a)[16][K], const float (&b)[K][8], thread *const *lanes) {
    for (int row = 0; row < 16; row++) {
        float sum[8];
        for (int n = 0; n < 8; n++) sum[n] = lanes[row % 8 * 4 + n / 2]->op->d[row / 8 * 2 + n % 2];
        for (int k = 0; k < K; k++)
            for (int n = 0; n < 8; n++) sum[n] += a[row][k] * b[k][n];
        for (int n = 0; n < 8; n++) lanes[row % 8 * 4 + n / 2]->op->d[row / 8 * 2 + n % 2] = sum[n];
    }
    counted.mma++;
}

/* All 65,536 halves, as conversions are most of the work. */
static const float *half_table() {
    static const std::vector<float> table = []() {
        std::vector<float> t(65536);
        for (unsigned i = 0; i < 65536; i++) t[i] = float_of_half(static_cast<uint16_t>(i));
        return t;
    }();
    return table.data();
}

static void do_mma_f16(thread *const *lanes) {
    static const float *const value = half_table();
    float a[16][16], b[16][8];
    for (int i = 0; i < 32; i++) {
        const operands *o = lanes[i]->op;
        int g = i / 4, q = i % 4;
        for (int e = 0; e < 8; e++) { /* register e / 2: rows g, g + 8, g, g + 8; columns 2q, 2q, 2q + 8, 2q + 8 */
            uint16_t h = static_cast<uint16_t>(o->in_a[e / 2] >> (16 * (e % 2)));
            a[g + 8 * (e / 2 % 2)][2 * q + 8 * (e / 4) + e % 2] = value[h];
        }
        for (int e = 0; e < 4; e++) {
            uint16_t h = static_cast<uint16_t>(o->in_b[e / 2] >> (16 * (e % 2)));
            b[2 * q + 8 * (e / 2) + e % 2][g] = value[h];
        }
    }
    multiply<16>(a, b, lanes);
}

static void do_mma_tf32(thread *const *lanes) {
    float a[16][8], b[8][8];
    for (int i = 0; i < 32; i++) {
        const operands *o = lanes[i]->op;
        int g = i / 4, q = i % 4;
        for (int e = 0; e < 4; e++) a[g + 8 * (e % 2)][q + 4 * (e / 2)] = __uint_as_float(o->in_a[e] & 0xffffe000u);
        for (int e = 0; e < 2; e++) b[q + 4 * e][g] = __uint_as_float(o->in_b[e] & 0xffffe000u);
    }
    multiply<8>(a, b, lanes);
}

/* Does the operations for which all lanes of a mask have come; true if any. */
static bool finish_warp_operations(thread *const *lanes, int count) {
    bool any = false;
    for (int i = 0; i < count; i++) {
        if (lanes[i]->waits != wait::warp) continue;
        const operands *o = lanes[i]->op;
        bool all = true;
        for (int k = 0; k < 32 && all; k++) {
            if (!(o->mask >> k & 1)) continue;
            all = k < count && lanes[k]->waits == wait::warp && lanes[k]->op->op == o->op &&
                  lanes[k]->op->mask == o->mask && lanes[k]->op->line == o->line && lanes[k]->op->file == o->file;
        }
        if (!all) continue;
        unsigned mask = o->mask;
        switch (o->op) {
        case warp_op::sync: break;
        case warp_op::shuffle: do_shuffle(lanes, mask); break;
        case warp_op::vote: do_vote(lanes, mask); break;
        case warp_op::matrices: do_matrices(lanes); break;
        case warp_op::mma_f16: do_mma_f16(lanes); break;
        case warp_op::mma_tf32: do_mma_tf32(lanes); break;
        }
        for (int k = 0; k < count; k++)
            if (mask >> k & 1) lanes[k]->waits = wait::none;
        any = true;
    }
    return any;
}

/* ---- a block ------------------------------------------------------------------------------------ */

static void fiber_main() {
    thread *self = state.running;
    current_thread = self->index;
    (*state.body)();
    if (!self->copies.empty())
        stop(__FILE__, __LINE__, "a thread ended with asynchronous copies it never waited for");
    self->waits = wait::finished;
    go_to_scheduler();
    abort();
}

static void run_lane(thread *t) {
    state.running = t;
    current_thread = t->index;
    context_switch(&state.scheduler, &t->at);
}

/* Lanes in a drawn order until each waits; again as long as the warp's operations complete. */
static void run_warp(thread *first, int count) {
    thread *lanes[32], *order[32];
    for (int i = 0; i < count; i++) order[i] = lanes[i] = first + i;
    do {
        shuffle_order(order, static_cast<size_t>(count));
        for (int i = 0; i < count; i++)
            if (order[i]->waits == wait::none) run_lane(order[i]);
    } while (finish_warp_operations(lanes, count) && draw(8) != 0); /* now and then another warp goes first */
}

static bool warp_can_go(const thread *first, int count) {
    return std::any_of(first, first + count, [](const thread &t) { return t.waits == wait::none; });
}

[[noreturn]] static void report_stuck() {
    std::map<std::pair<const char *, int>, std::vector<unsigned>> where;
    std::vector<unsigned> finished;
    unsigned n = 0;
    for (const thread &t : state.threads) {
        if (t.waits == wait::finished) finished.push_back(n);
        if (t.waits == wait::barrier) where[{t.file, t.line}].push_back(n);
        if (t.waits == wait::warp) where[{t.op->file, t.op->line}].push_back(n);
        n++;
    }
    fprintf(stderr, "kernel: block %u,%u,%u: threads wait for each other at different places:\n", current_block.x,
            current_block.y, current_block.z);
    for (const auto &w : where) {
        fprintf(stderr, "  %zu threads (first %u) at %s:%d\n", w.second.size(), w.second[0], w.first.first,
                w.first.second);
    }
    if (!finished.empty())
        fprintf(stderr, "  %zu threads (first %u) have returned\n", finished.size(), finished[0]);
    abort();
}

/* All threads stand still: at one barrier, or something is wrong. False when all have ended. */
static bool pass_barrier() {
    const thread &first = state.threads[0];
    if (first.waits == wait::finished) {
        for (const thread &t : state.threads)
            if (t.waits != wait::finished) report_stuck();
        return false;
    }
    for (const thread &t : state.threads)
        if (t.waits != wait::barrier || t.file != first.file || t.line != first.line) report_stuck();
    for (thread &t : state.threads) t.waits = wait::none;
    counted.barriers++;
    return true;
}

/* AddressSanitizer: frames of a fiber that ended stay marked, as they never return. */
static void forget_stack(unsigned char *stack) {
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(stack, STACK_BYTES);
#else
    (void)stack;
#endif
}

static void begin_block(size_t threads) {
    memset(state.shared, 0xff, state.static_begin + STATIC_SHARED_BYTES);
    state.statics.clear();
    state.static_used = 0;
    for (size_t i = 0; i < threads; i++) {
        thread &t = state.threads[i];
        unsigned n = static_cast<unsigned>(i);
        t.index = {n % current_block_dim.x, n / current_block_dim.x % current_block_dim.y,
                   n / current_block_dim.x / current_block_dim.y};
        t.waits = wait::none;
        t.groups = 0;
        t.copies.clear();
        forget_stack(t.stack);
        context_make(&t.at, t.stack, STACK_BYTES, fiber_main);
    }
}

static void run_block(size_t threads) {
    size_t warps = (threads + 31) / 32;
    begin_block(threads);
    do {
        std::vector<size_t> ready(warps);
        std::iota(ready.begin(), ready.end(), size_t(0));
        while (!ready.empty()) {
            size_t pick = draw(ready.size()), w = ready[pick];
            int count = static_cast<int>(std::min<size_t>(32, threads - 32 * w));
            if (warp_can_go(&state.threads[32 * w], count)) run_warp(&state.threads[32 * w], count);
            if (!warp_can_go(&state.threads[32 * w], count)) ready.erase(ready.begin() + static_cast<long>(pick));
        }
    } while (pass_barrier());
}

/* ---- a grid ------------------------------------------------------------------------------------- */

static unsigned char *map_pages(size_t bytes) {
    void *p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        perror("kernel: mmap");
        abort();
    }
    return static_cast<unsigned char *>(p);
}

/* Stacks are kept for the next kernel; below each lies a page nobody may touch. */
static void need_threads(size_t count) {
    static thread_local std::vector<unsigned char *> stacks;
    while (stacks.size() < count) {
        unsigned char *p = map_pages(STACK_BYTES + PAGE);
        mprotect(p, PAGE, PROT_NONE);
        stacks.push_back(p + PAGE);
    }
    state.threads.resize(count);
    for (size_t i = 0; i < count; i++) state.threads[i].stack = stacks[i];
}

void run_kernel(dim3 grid, dim3 block, size_t shared_bytes, const std::function<void()> &body) {
    size_t threads = size_t(block.x) * block.y * block.z, blocks = size_t(grid.x) * grid.y * grid.z;
    std::vector<size_t> order(blocks);

    if (state.active) stop(__FILE__, __LINE__, "a kernel inside a kernel");
    need_threads(threads);
    state.dynamic_bytes = shared_bytes;
    state.static_begin = (shared_bytes + SHARED_ALIGN - 1) / SHARED_ALIGN * SHARED_ALIGN;
    size_t bytes = state.static_begin + STATIC_SHARED_BYTES;
    state.shared = map_pages(bytes);
    state.body = &body;
    state.active = true;
    current_block_dim = block;
    current_grid_dim = grid;
    std::iota(order.begin(), order.end(), size_t(0));
    shuffle_order(order.data(), blocks);
    for (size_t b : order) {
        current_block = {static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y),
                         static_cast<unsigned>(b / grid.x / grid.y)};
        run_block(threads);
        counted.blocks++;
    }
    counted.launches++;
    state.active = false;
    munmap(state.shared, bytes);
}

} // namespace exa_emu

/* ---- for tests in C (lane_test.h) ---------------------------------------------------------------- */

extern "C" {
void exa_lane_set_seed(uint64_t seed) {
    exa_emu::set_seed(seed);
}
void exa_lane_set_device(int capability, int multiprocessors, size_t shared_bytes) {
    exa_emu::device.major = capability / 10;
    exa_emu::device.minor = capability % 10;
    exa_emu::device.multiprocessors = multiprocessors;
    exa_emu::device.shared_bytes = shared_bytes;
}
void exa_lane_set_code(int capability) {
    exa_emu::device.code = capability;
}
uint64_t exa_lane_products(void) {
    return exa_emu::counted.mma;
}
uint64_t exa_lane_bank_conflicts(void) {
    return exa_emu::counted.bank_conflicts;
}
size_t exa_lane_device_bytes(void) {
    return exa_emu::device_bytes_allocated();
}
}
