/* xxh64 with seed 0 (https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md). */

#ifndef MINHASH_XXH64_H
#define MINHASH_XXH64_H

#include <stdint.h>
#include <string.h>

static const uint64_t PRIME_1 = 0x9e3779b185ebca87u, PRIME_2 = 0xc2b2ae3d27d4eb4fu, PRIME_3 = 0x165667b19e3779f9u,
                      PRIME_4 = 0x85ebca77c2b2ae63u, PRIME_5 = 0x27d4eb2f165667c5u;

static inline uint64_t rotate(uint64_t value, int bits)
{
    return value << bits | value >> (64 - bits);
}

static inline uint64_t eight_at(const uint8_t *octets)
{
    uint64_t found;
    memcpy(&found, octets, sizeof found); /* one instruction */
    return found;
}

static inline uint64_t add_lane(uint64_t sum, uint64_t lane)
{
    return rotate(sum + lane * PRIME_2, 31) * PRIME_1;
}

static uint64_t read_stripes(const uint8_t *octets, const uint8_t *end)
{
    uint64_t sums[4] = {PRIME_1 + PRIME_2, PRIME_2, 0, 0 - PRIME_1};
    for (; end - octets >= 32; octets += 32)
        for (int lane = 0; lane < 4; lane++)
            sums[lane] = add_lane(sums[lane], eight_at(octets + 8 * lane));
    uint64_t hash = rotate(sums[0], 1) + rotate(sums[1], 7) + rotate(sums[2], 12) + rotate(sums[3], 18);
    for (int lane = 0; lane < 4; lane++)
        hash = (hash ^ add_lane(0, sums[lane])) * PRIME_1 + PRIME_4;
    return hash;
}

static inline uint64_t xxh64(const uint8_t *octets, size_t size)
{
    const uint8_t *end = octets + size;
    uint64_t hash = PRIME_5;
    if (size >= 32) {
        hash = read_stripes(octets, end);
        octets += size / 32 * 32;
    }
    hash += size;
    for (; end - octets >= 8; octets += 8)
        hash = rotate(hash ^ add_lane(0, eight_at(octets)), 27) * PRIME_1 + PRIME_4;
    if (end - octets >= 4) {
        uint32_t four;
        memcpy(&four, octets, sizeof four);
        hash = rotate(hash ^ four * PRIME_1, 23) * PRIME_2 + PRIME_3;
        octets += 4;
    }
    while (octets < end)
        hash = rotate(hash ^ *octets++ * PRIME_5, 11) * PRIME_1;
    hash = (hash ^ hash >> 33) * PRIME_2;
    hash = (hash ^ hash >> 29) * PRIME_3;
    return hash ^ hash >> 32;
}

#endif
