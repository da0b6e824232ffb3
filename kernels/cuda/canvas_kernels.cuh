/* The kernels of a canvas on the GPU: ffn/canvas.c step for step, by one block for each canvas, and by many where a
 * whole object is gone through.
 *
 *   begin    judge the flood that is over; find the next seed; gather the field of view
 *            (then the network runs)
 *   absorb   disconnection rule, write back, face maxima, queue; pop the next position
 *   count    voxels of a flood that is over
 *   settle   write its label, make its part of the object map unset again
 *
 * What the CPU does one after another is looked at side by side where nothing depends on the order: 32 queued
 * positions, a block's worth of seeds; the first that will do is taken, and those before it are counted.
 * Compile without contraction of multiplications and additions, and with exact division. */
#ifndef EXA_CANVAS_KERNELS_CUH
#define EXA_CANVAS_KERNELS_CUH

#include "cuda/canvas_gpu_internal.cuh"

namespace canvas_gpu {

enum { FAILED_SEED = -1, EXCLUDED = -2 };
enum { OUTCOME_OBJECT = 1, OUTCOME_WEAK, OUTCOME_TOO_SMALL, OUTCOME_NO_STEP };
/* Fewer threads in the emulation, which makes them one by one; the results are the same with any number. */
enum {
    STEP_THREADS = lane::emulated ? 128 : 512,
    SWEEP_THREADS = lane::emulated ? 64 : 256,
    SWEEP_BLOCKS = lane::emulated ? 3 : 96,
    FILL_BLOCKS = lane::emulated ? 3 : 512,
    FACES = 6
};

struct position {
    int32_t v[3];
};

struct move {
    float score;
    int32_t offset[3];
};

/* ---- geometry --------------------------------------------------------------------------------- */

__device__ inline int64_t at(const slot &s, const int32_t p[3]) {
    return ((int64_t)p[0] * s.shape[1] + p[1]) * s.shape[2] + p[2];
}

__device__ inline packed pack(const int32_t p[3]) {
    return (packed)p[0] << 42 | (packed)p[1] << 21 | (packed)p[2];
}

__device__ inline position unpack(packed q) {
    return position{{(int32_t)(q >> 42), (int32_t)(q >> 21 & 0x1fffff), (int32_t)(q & 0x1fffff)}};
}

__device__ inline bool fov_fits(const slot &s, const rules &r, const int32_t p[3]) {
    for (int a = 0; a < 3; a++)
        if (p[a] - r.margin[a] < 0 || p[a] + r.margin[a] >= s.shape[a]) return false;
    return true;
}

__device__ inline int32_t cell_of(int32_t position, int32_t start, int32_t delta) {
    int32_t d = delta > 0 ? delta : 1, n = position - start + d / 2;
    return n >= 0 ? n / d : -((-n + d - 1) / d);
}

__device__ inline int64_t cell_bit(const slot &s, const rules &r, const int32_t p[3]) {
    const exa_canvas_gpu_state *st = s.state;
    int32_t c[3];
    for (int a = 0; a < 3; a++) c[a] = cell_of(p[a], st->seed[a], r.deltas[a]) + st->cell_offset[a];
    return ((int64_t)c[0] * s.cells[1] + c[1]) * s.cells[2] + c[2];
}

__device__ inline float normalised(const slot &s, int64_t i) {
    if (s.bytes == 1) return s.table[((const uint8_t *)s.raw)[i]];
    float v = s.bytes == 2 ? (float)((const uint16_t *)s.raw)[i] : ((const float *)s.raw)[i];
    return __fdiv_rn(__fsub_rn(v, s.mean), s.stddev);
}

/* Index of voxel i of the field of view around p. */
__device__ inline int64_t in_canvas(const slot &s, const rules &r, const int32_t p[3], int i) {
    int x = i % r.fov[2], row = i / r.fov[2], y = row % r.fov[1], z = row / r.fov[1];
    return ((int64_t)(p[0] - r.margin[0] + z) * s.shape[1] + (p[1] - r.margin[1] + y)) * s.shape[2] +
           (p[2] - r.margin[2] + x);
}

/* ---- positions to visit ----------------------------------------------------------------------- */

/* Why a place is none for a field of view's centre. */
enum { FINE = 0, CELL_DONE, BELOW_THRESHOLD, INVALID, RESTRICTED, NEAR_SEGMENT, NOTHING };

__device__ inline int blocked(const slot &s, const rules &r, const int32_t p[3]) {
    if (!fov_fits(s, r, p)) return INVALID;
    int32_t label = s.segmentation[at(s, p)];
    return label > 0 ? INVALID : label == EXCLUDED ? RESTRICTED : FINE;
}

__device__ inline int judge_queued(const slot &s, const rules &r, const int32_t p[3]) {
    int64_t bit = cell_bit(s, r, p);
    if (s.done[bit / 32] >> (bit % 32) & 1u) return CELL_DONE;
    if (s.map[at(s, p)] < r.move_logit) return BELOW_THRESHOLD;
    return blocked(s, r, p);
}

/* The state of one warp's look at the queue; lane 0 writes. */
__device__ inline bool pop_valid(const slot &s, const rules &r, int lane) {
    exa_canvas_gpu_state *st = s.state;
    int64_t head = st->queue_head;
    const int64_t tail = st->queue_tail;
    bool found = false;

    while (!found && head < tail) {
        int64_t k = head + lane;
        position p = {};
        int why = NOTHING;
        if (k < tail) {
            p = unpack(s.queue[k]);
            why = judge_queued(s, r, p.v);
        }
        unsigned fine = __ballot_sync(0xffffffffu, why == FINE);
        unsigned before = fine ? (1u << (__ffs((int)fine) - 1)) - 1u : 0xffffffffu;
        unsigned below = __ballot_sync(0xffffffffu, why == BELOW_THRESHOLD) & before;
        unsigned invalid = __ballot_sync(0xffffffffu, why == INVALID) & before;
        unsigned restricted = __ballot_sync(0xffffffffu, why == RESTRICTED) & before;
        int taken = fine ? __ffs((int)fine) : 32;
        if (lane == 0) {
            st->counter[EXA_GPU_SKIP_THRESHOLD] += __popc(below);
            st->counter[EXA_GPU_SKIP_INVALID_POS] += __popc(invalid);
            st->counter[EXA_GPU_SKIP_RESTRICTED] += __popc(restricted);
        }
        head = head + taken < tail ? head + taken : tail;
        found = fine != 0;
        if (found && lane == taken - 1)
            for (int a = 0; a < 3; a++) st->position[a] = p.v[a];
    }
    if (lane == 0) st->queue_head = head;
    return found;
}

/* By warp 0: the next step, or the end of the flood. */
__device__ inline void pop(const slot &s, const rules &r, int lane) {
    exa_canvas_gpu_state *st = s.state;
    bool found = pop_valid(s, r, lane);

    if (lane != 0) return;
    bool weak = s.map[at(s, st->seed)] < r.move_logit;
    if (found && !weak) {
        st->phase = EXA_CANVAS_GPU_STEP;
        return;
    }
    if (found) st->counter[EXA_GPU_SEED_GOT_TOO_WEAK]++;
    st->weak = weak;
    st->phase = EXA_CANVAS_GPU_END;
}

/* ---- the end of a flood ----------------------------------------------------------------------- */

__device__ inline bool is_object(const exa_canvas_gpu_state *st, const rules &r) {
    return st->steps > 0 && !st->weak && (int64_t)st->voxels_new >= r.min_segment_size && st->next_id < INT32_MAX;
}

__device__ inline void record(exa_canvas_gpu_state *st, int outcome, int32_t id) {
    exa_canvas_gpu_record *to = &st->record[st->records % EXA_CANVAS_GPU_RECORDS];

    to->steps = st->steps;
    to->voxels_raw = (int64_t)st->voxels_raw;
    to->voxels_new = (int64_t)st->voxels_new;
    for (int a = 0; a < 3; a++) {
        to->seed[a] = st->seed[a];
        to->low[a] = st->low[a];
        to->high[a] = st->high[a];
    }
    to->outcome = outcome;
    to->id = id;
    st->records++;
}

/* By one thread, after count and settle have gone through the flood that is over. */
__device__ inline void conclude(const slot &s, const rules &r) {
    exa_canvas_gpu_state *st = s.state;
    int32_t *label = &s.segmentation[at(s, st->seed)], id = 0;
    int outcome;

    if (st->steps == 0) {
        outcome = OUTCOME_NO_STEP;
        st->counter[EXA_GPU_NO_STEP]++;
    } else if (st->weak) {
        outcome = OUTCOME_WEAK;
        st->counter[EXA_GPU_WEAK]++;
    } else if ((int64_t)st->voxels_new < r.min_segment_size) {
        outcome = OUTCOME_TOO_SMALL;
        st->counter[EXA_GPU_TOO_SMALL]++;
    } else if (st->next_id == INT32_MAX) {
        st->too_many = 1;
        st->phase = EXA_CANVAS_GPU_DONE;
        return;
    } else {
        outcome = OUTCOME_OBJECT;
        id = st->next_id++;
        st->counter[EXA_GPU_OBJECTS]++;
        st->counter[EXA_GPU_VOXELS_SEGMENTED] += (int64_t)st->voxels_new;
        st->counter[EXA_GPU_VOXELS_OVERLAPPING] += (int64_t)(st->voxels_raw - st->voxels_new);
    }
    if ((outcome == OUTCOME_WEAK || outcome == OUTCOME_TOO_SMALL) && *label == 0) *label = FAILED_SEED;
    record(st, outcome, id);
    st->settled_next_seed = st->next_seed;
    for (int i = 0; i < EXA_CANVAS_GPU_COUNTERS; i++) st->settled[i] = st->counter[i];
    st->phase = EXA_CANVAS_GPU_NEXT;
}

/* ---- the next flood --------------------------------------------------------------------------- */

__device__ inline position seed_at(const slot &s, int64_t i) {
    int64_t v = s.wide ? (int64_t)((const uint64_t *)s.seeds)[i] : (int64_t)((const uint32_t *)s.seeds)[i];
    int64_t row = v / s.shape[2];
    return position{{(int32_t)(row / s.shape[1]), (int32_t)(row % s.shape[1]), (int32_t)(v % s.shape[2])}};
}

__device__ inline bool near_segment(const slot &s, const rules &r, const int32_t p[3]) {
    int32_t lo[3], hi[3], q[3];

    for (int a = 0; a < 3; a++) {
        lo[a] = max(p[a] - r.min_boundary_dist[a], 0);
        hi[a] = min(p[a] + r.min_boundary_dist[a], s.shape[a] - 1);
    }
    for (q[0] = lo[0]; q[0] <= hi[0]; q[0]++)
        for (q[1] = lo[1]; q[1] <= hi[1]; q[1]++)
            for (q[2] = lo[2]; q[2] <= hi[2]; q[2]++)
                if (s.segmentation[at(s, q)] > 0) return true;
    return false;
}

__device__ inline void begin_flood(const slot &s, const rules &r, const position &seed) {
    exa_canvas_gpu_state *st = s.state;

    for (int a = 0; a < 3; a++) {
        st->seed[a] = st->low[a] = st->high[a] = seed.v[a];
        st->cell_offset[a] = -cell_of(0, seed.v[a], r.deltas[a]);
    }
    st->steps = 0;
    st->voxels_raw = st->voxels_new = 0;
    st->weak = 0;
    s.map[at(s, seed.v)] = r.init_logit;
    s.queue[0] = pack(seed.v);
    st->queue_head = 0;
    st->queue_tail = 1;
    st->counter[EXA_GPU_FLOODS]++;
}

/* Limits hold between floods. */
__device__ inline bool limit_reached(const exa_canvas_gpu_state *st, const rules &r) {
    return st->limited || (r.max_steps > 0 && st->counter[EXA_GPU_STEPS] >= r.max_steps) ||
           (r.max_objects > 0 && st->counter[EXA_GPU_OBJECTS] >= r.max_objects);
}

/* How many seeds from `next_seed` on may be looked at; 0 at the end, and *limited if a limit is the end. */
__device__ inline int seeds_to_try(const slot &s, const rules &r, int most, bool *limited) {
    const exa_canvas_gpu_state *st = s.state;
    int64_t n = s.seed_count - st->next_seed;

    *limited = limit_reached(st, r);
    if (*limited || n <= 0) return 0;
    if (r.max_seeds > 0) {
        int64_t allowed = r.max_seeds - st->counter[EXA_GPU_SEEDS];
        *limited = allowed <= 0;
        n = allowed < n ? max(allowed, (int64_t)0) : n;
    }
    return (int)min(n, (int64_t)most);
}

/* By a whole block: on to the next seed that may begin an object, and its flood, or to the end of the canvas. */
__device__ inline void next_flood(const slot &s, const rules &r) {
    LANE_SHARED_ARRAY(int, count, 8); /* [why] */
    LANE_SHARED_ARRAY(int, shared, 2);
    int &first = shared[0], &tries = shared[1];
    exa_canvas_gpu_state *st = s.state;
    const int t = (int)threadIdx.x, most = (int)blockDim.x;
    bool more = true;

    while (more) {
        __syncthreads(); /* shared is read below by the turn before */
        if (t < 8) count[t] = 0;
        if (t == 0) {
            bool limited;
            tries = seeds_to_try(s, r, most, &limited);
            first = most;
            if (tries == 0) {
                st->limited = limited;
                st->phase = EXA_CANVAS_GPU_DONE;
            }
        }
        __syncthreads();
        const int n = tries;
        if (n == 0) return;
        position p = {};
        int why = NOTHING;
        if (t < n) {
            p = seed_at(s, st->next_seed + t);
            why = blocked(s, r, p.v);
            if (why == FINE && near_segment(s, r, p.v)) why = NEAR_SEGMENT;
            if (why == FINE) atomicMin(&first, t);
        }
        __syncthreads();
        const int begun = first;
        if (t < begun && t < n) {
            atomicAdd(&count[why], 1);
            if (why == NEAR_SEGMENT) s.segmentation[at(s, p.v)] = FAILED_SEED;
        }
        __syncthreads();
        more = begun >= n;
        if (t == 0) {
            const int looked = more ? n : begun + 1;
            st->next_seed += looked;
            st->counter[EXA_GPU_SEEDS] += looked;
            st->counter[EXA_GPU_SKIP_INVALID_POS] += count[INVALID];
            st->counter[EXA_GPU_SKIP_RESTRICTED] += count[RESTRICTED];
            st->counter[EXA_GPU_NEAR_SEGMENT] += count[NEAR_SEGMENT];
        }
        if (!more && t == begun) begin_flood(s, r, p);
    }
    __syncthreads();
    if (t < 32) pop(s, r, t);
}

/* ---- kernel: up to the network step ----------------------------------------------------------- */

__device__ inline void gather(const slot &s, const rules &r, float *input) {
    const exa_canvas_gpu_state *st = s.state;
    const int voxels = r.fov[0] * r.fov[1] * r.fov[2];
    const int32_t p[3] = {st->position[0], st->position[1], st->position[2]};

    for (int i = (int)threadIdx.x; i < voxels; i += (int)blockDim.x) {
        int64_t v = in_canvas(s, r, p, i);
        float stored = s.map[v];
        ((float2 *)input)[i] = make_float2(normalised(s, v), stored != stored ? r.pad_logit : stored);
    }
}

/* One block for each canvas of the batch. With `exact` only those that wait for an exact step are gathered again.
 */
static __global__ void __launch_bounds__(STEP_THREADS, 1)
    begin(rules r, const slot *slots, const int *batch, float *input, int exact) {
    const slot s = slots[batch[blockIdx.x]];
    exa_canvas_gpu_state *st = s.state;
    LANE_SHARED_ARRAY(int, phase, 1);

    if (threadIdx.x == 0) {
        if (!exact && st->phase == EXA_CANVAS_GPU_END) conclude(s, r);
        phase[0] = st->phase;
    }
    __syncthreads();
    if (!exact && phase[0] == EXA_CANVAS_GPU_NEXT) {
        next_flood(s, r);
        if (threadIdx.x == 0) phase[0] = st->phase; /* who wrote it */
        __syncthreads();
    }
    if (phase[0] == EXA_CANVAS_GPU_STEP && (!exact || st->waits))
        gather(s, r, input + 2 * (size_t)blockIdx.x * (size_t)(r.fov[0] * r.fov[1] * r.fov[2]));
}

/* ---- kernel: after the network step ----------------------------------------------------------- */

/* Sum over the block, the same for all threads. */
__device__ inline int sum_of_block(int mine) {
    LANE_SHARED_ARRAY(int, total, 1);

    if (threadIdx.x == 0) total[0] = 0;
    __syncthreads();
    for (int by = 16; by > 0; by /= 2) mine += __shfl_down_sync(0xffffffffu, mine, by);
    if (threadIdx.x % 32 == 0) atomicAdd(&total[0], mine);
    __syncthreads();
    return total[0];
}

/* Disconnection rule and write back; the logits are what was written afterwards. */
__device__ inline void write_back(const slot &s, const rules &r, float *logits) {
    const int voxels = r.fov[0] * r.fov[1] * r.fov[2];
    const exa_canvas_gpu_state *st = s.state;
    const int32_t p[3] = {st->position[0], st->position[1], st->position[2]};
    int reached = 0;
    bool held = false;

    if (!(r.disco < 0.0f)) {
        for (int i = (int)threadIdx.x; i < voxels; i += (int)blockDim.x) reached += logits[i] >= r.move_logit;
        reached = sum_of_block(reached);
        held = __ddiv_rn((double)reached, (double)voxels) > (double)r.disco;
    }
    for (int i = (int)threadIdx.x; i < voxels; i += (int)blockDim.x) {
        int64_t v = in_canvas(s, r, p, i);
        float value = logits[i];
        if (held) {
            float stored = s.map[v]; /* NaN, unset, compares false */
            if (stored < 0.0f && value > stored) logits[i] = value = stored;
        }
        s.map[v] = value;
    }
}

/* By a warp: first maximum, in C order, of face `face` (axis by axis, the lower side first). */
__device__ inline void find_face_maximum(const rules &r, const float *logits, int face, int lane, move *out) {
    const int axis = face / 2, u = axis == 0 ? 1 : 0, v = axis == 2 ? 1 : 2;
    const int stride[3] = {r.fov[1] * r.fov[2], r.fov[2], 1};
    const int fixed = face % 2 ? r.deltas[axis] : -r.deltas[axis];
    const int width = 2 * r.deltas[v] + 1, n = (2 * r.deltas[u] + 1) * width;
    const float *corner = logits + r.margin[0] * stride[0] + r.margin[1] * stride[1] + r.margin[2] +
                          fixed * stride[axis] - r.deltas[u] * stride[u] - r.deltas[v] * stride[v];
    float best = -INFINITY;
    int where = n;

    for (int i = lane; i < n; i += 32) {
        float value = corner[i / width * stride[u] + i % width * stride[v]];
        if (value > best || (value == best && where == n)) {
            best = value;
            where = i;
        }
    }
    for (int by = 16; by > 0; by /= 2) {
        float other = __shfl_down_sync(0xffffffffu, best, by);
        int there = __shfl_down_sync(0xffffffffu, where, by);
        if (other > best || (other == best && there < where)) {
            best = other;
            where = there;
        }
    }
    if (lane != 0) return;
    if (where == n || corner[0] != corner[0]) { /* as on the CPU, a NaN that comes first stays */
        best = corner[0];
        where = 0;
    }
    out->score = best;
    out->offset[axis] = fixed;
    out->offset[u] = where / width - r.deltas[u];
    out->offset[v] = where % width - r.deltas[v];
}

/* Whether a comes before b: score, then offsets, all descending. 0 if they are equal. */
__device__ inline int order(const move &a, const move &b) {
    if (a.score != b.score) return a.score > b.score ? -1 : 1;
    for (int i = 0; i < 3; i++)
        if (a.offset[i] != b.offset[i]) return a.offset[i] > b.offset[i] ? -1 : 1;
    return 0;
}

/* By one thread: the moves that are offered, in their order, each once, to the end of the queue. */
__device__ inline void queue_moves(const slot &s, const rules &r, const move *faces) {
    exa_canvas_gpu_state *st = s.state;
    move sorted[FACES];
    int n = 0;

    for (int f = 0; f < FACES; f++) {
        int k = n;
        if (r.deltas[f / 2] <= 0 || (double)faces[f].score < r.face_logit) continue;
        while (k > 0 && order(faces[f], sorted[k - 1]) < 0) {
            sorted[k] = sorted[k - 1];
            k--;
        }
        sorted[k] = faces[f];
        n++;
    }
    for (int k = 0; k < n; k++) {
        int32_t p[3];
        if (k > 0 && order(sorted[k - 1], sorted[k]) == 0) continue;
        for (int a = 0; a < 3; a++) p[a] = st->position[a] + sorted[k].offset[a];
        s.queue[st->queue_tail++] = pack(p);
    }
}

__device__ inline void count_step(const slot &s, const rules &r, int exact) {
    exa_canvas_gpu_state *st = s.state;
    int64_t bit = cell_bit(s, r, st->position);

    s.done[bit / 32] |= 1u << (bit % 32);
    for (int a = 0; a < 3; a++) {
        st->low[a] = min(st->low[a], st->position[a]);
        st->high[a] = max(st->high[a], st->position[a]);
    }
    st->steps++;
    st->counter[EXA_GPU_STEPS]++;
    st->waits = 0;
    st->overflowed += exact;
}

/* One block for each canvas of the batch. Logits of a field of view that left the number range are not taken: the
 * canvas waits for an exact step. */
static __global__ void __launch_bounds__(STEP_THREADS, 1)
    absorb(rules r, const slot *slots, const int *batch, float *logits, const unsigned *overflow, int exact) {
    const slot s = slots[batch[blockIdx.x]];
    exa_canvas_gpu_state *st = s.state;
    LANE_SHARED_ARRAY(move, faces, FACES);
    LANE_SHARED_ARRAY(int, idle, 1);
    float *mine = logits + (size_t)blockIdx.x * (size_t)(r.fov[0] * r.fov[1] * r.fov[2]);
    const int t = (int)threadIdx.x, lane = t % 32;

    if (t == 0) {
        idle[0] = st->phase != EXA_CANVAS_GPU_STEP || (exact && !st->waits);
        if (!idle[0] && !exact && overflow[blockIdx.x]) {
            st->waits = 1;
            idle[0] = 1;
        }
    }
    __syncthreads();
    if (idle[0]) return;
    write_back(s, r, mine);
    __syncthreads();
    for (int f = t / 32; f < FACES; f += (int)blockDim.x / 32)
        if (r.deltas[f / 2] > 0) find_face_maximum(r, mine, f, lane, &faces[f]);
    __syncthreads();
    if (t == 0) {
        count_step(s, r, exact);
        queue_moves(s, r, faces);
    }
    __syncthreads();
    if (t < 32) pop(s, r, lane);
}

/* ---- kernels: through a whole object ---------------------------------------------------------- */

/* The rows of the box that the flood touched, a warp for each: calls body(index of the first voxel, voxels). */
template <class F> __device__ inline void for_rows(const slot &s, const rules &r, F body) {
    const exa_canvas_gpu_state *st = s.state;
    int32_t start[3], shape[3];
    const int warps = (int)(blockDim.x / 32);

    for (int a = 0; a < 3; a++) {
        start[a] = st->low[a] - r.margin[a];
        shape[a] = st->high[a] + r.margin[a] - start[a] + 1;
    }
    for (int64_t row = (int64_t)blockIdx.x * warps + (int)threadIdx.x / 32; row < (int64_t)shape[0] * shape[1];
         row += (int64_t)gridDim.x * warps) {
        int32_t p[3] = {start[0] + (int32_t)(row / shape[1]), start[1] + (int32_t)(row % shape[1]), start[2]};
        body(at(s, p), shape[2]);
    }
}

__device__ inline bool is_free(int32_t label) {
    return label == 0 || label == FAILED_SEED;
}

static __global__ void __launch_bounds__(SWEEP_THREADS) count(rules r, const slot *slots, const int *batch) {
    const slot s = slots[batch[blockIdx.y]];
    exa_canvas_gpu_state *st = s.state;
    const int lane = (int)(threadIdx.x % 32);
    unsigned long long raw = 0, fresh = 0;

    if (st->phase != EXA_CANVAS_GPU_END || st->weak || st->steps == 0) return;
    for_rows(s, r, [&](int64_t first, int32_t n) {
        for (int32_t x = lane; x < n; x += 32) {
            bool in = s.map[first + x] >= r.segment_logit;
            raw += in;
            fresh += in && is_free(s.segmentation[first + x]);
        }
    });
    for (int by = 16; by > 0; by /= 2) {
        raw += __shfl_down_sync(0xffffffffu, raw, by);
        fresh += __shfl_down_sync(0xffffffffu, fresh, by);
    }
    if (lane != 0 || raw == 0) return;
    atomicAdd(&st->voxels_raw, raw);
    atomicAdd(&st->voxels_new, fresh);
}

/* 1 + how many of the 254 steps the logit reaches. */
__device__ inline uint8_t quantised(const float *quantum, float logit) {
    int low = 0, high = 254; /* quantum[low] is reached (or the least), quantum[high + 1] is not */

    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (logit >= quantum[middle]) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return (uint8_t)(low + 1);
}

static __global__ void __launch_bounds__(SWEEP_THREADS) settle(rules r, const slot *slots, const int *batch) {
    const slot s = slots[batch[blockIdx.y]];
    const exa_canvas_gpu_state *st = s.state;
    const int lane = (int)(threadIdx.x % 32);

    if (st->phase != EXA_CANVAS_GPU_END) return;
    const bool object = is_object(st, r);
    const int32_t id = st->next_id;
    const float unset = __int_as_float(0x7fffffff);
    for_rows(s, r, [&](int64_t first, int32_t n) {
        for (int32_t x = lane; x < n; x += 32) {
            int64_t v = first + x;
            float logit = s.map[v];
            if (object && logit >= r.segment_logit && is_free(s.segmentation[v])) {
                s.segmentation[v] = id;
                if (s.probability) s.probability[v] = quantised(r.quantum, logit);
            }
            s.map[v] = unset;
        }
    });
    const int64_t words = ((int64_t)s.cells[0] * s.cells[1] * s.cells[2] + 31) / 32;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < words;
         i += (int64_t)gridDim.x * blockDim.x)
        s.done[i] = 0;
}

/* ---- kernel: a new canvas --------------------------------------------------------------------- */

static __global__ void unset_map(float *map, int64_t voxels) {
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < voxels;
         i += (int64_t)gridDim.x * blockDim.x)
        map[i] = __int_as_float(0x7fffffff);
}

} // namespace canvas_gpu
#endif
