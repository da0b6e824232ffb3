#include "exaconn/rmat.h"

#include "exaconn/philox.h"

exa_rmat exa_rmat_defaults(uint32_t scale, uint64_t seed) {
    return (exa_rmat){.a = 0.57, .b = 0.19, .c = 0.19, .scale = scale, .seed = seed};
}

/* A bijection of [0, 2^scale): odd multiplications and shifted xors are. */
static uint32_t scramble(uint32_t v, uint32_t scale, uint64_t seed) {
    uint64_t mask = ((uint64_t)1 << scale) - 1, z = v;

    for (int round = 0; round < 3; round++) {
        z = (z * (0x9E3779B97F4A7C15u ^ (seed << 1)) + round) & mask;
        z ^= z >> (scale / 2 + 1);
    }
    return (uint32_t)z;
}

/* Sixteen bits of chance a halving, eight halvings a block. */
uint64_t exa_rmat_edge(const exa_rmat *o, uint64_t i) {
    uint64_t bits[2] = {0, 0};
    uint32_t pre = 0, post = 0;
    const uint32_t a = (uint32_t)(o->a * 65536), ab = (uint32_t)((o->a + o->b) * 65536),
                   abc = (uint32_t)((o->a + o->b + o->c) * 65536);

    for (uint32_t level = 0; level < o->scale; level++) {
        if (level % 8 == 0) exa_philox(o->seed, 0x524d4154u + level / 8, i, bits);
        uint32_t chance = (uint32_t)(bits[level / 4 % 2] >> (16 * (level % 4))) & 0xffff;
        uint32_t quadrant = chance < a ? 0 : chance < ab ? 1 : chance < abc ? 2 : 3;
        pre = pre << 1 | quadrant >> 1;
        post = post << 1 | (quadrant & 1);
    }
    return (uint64_t)scramble(pre, o->scale, o->seed) << 32 | scramble(post, o->scale, o->seed);
}
