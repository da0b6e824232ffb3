/* libFuzzer harness of the reader of precomputed volumes. The first byte chooses what is made of the rest:
 *
 *   0  an info file
 *   1  a chunk of labels (compressed_segmentation), of 8 or 4 bytes each
 *   2  the shard file of a small volume, uncompressed, so that every number in it can be reached
 *   3  a gzip block
 */
#include "exaconn/file.h"
#include "exaconn/log.h"
#include "exaconn/precomputed.h"
#include "exaconn/volume.h"

#include "volume/compressed_segmentation_internal.h"
#include "volume/gzip_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static char folder[64], info[80], scale[80], shard[100];
static const char shard_info[] =
    "{\"type\": \"segmentation\", \"data_type\": \"uint64\", \"num_channels\": 1, \"scales\": [{\"key\": \"s\", "
    "\"size\": [20, 9, 17], \"resolution\": [8, 8, 8], \"chunk_sizes\": [[8, 8, 8]], \"encoding\": "
    "\"compressed_segmentation\", \"compressed_segmentation_block_size\": [4, 8, 4], \"sharding\": {\"@type\": "
    "\"neuroglancer_uint64_sharded_v1\", \"hash\": \"identity\", \"preshift_bits\": 2, \"minishard_bits\": 2, "
    "\"shard_bits\": 1, \"minishard_index_encoding\": \"raw\", \"data_encoding\": \"raw\"}}]}";

static void put(const char *path, const void *data, size_t size) {
    FILE *f = fopen(path, "wb");
    assert(f && fwrite(data, 1, size, f) == size);
    fclose(f);
}

static void remove_all(void) {
    unlink(shard), unlink(info), rmdir(scale), rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    exa_log_set_level(EXA_LOG_ERROR);
    snprintf(folder, sizeof folder, "/dev/shm/exa-fuzz-precomputed-%ld", (long)getpid());
    snprintf(info, sizeof info, "%s/info", folder);
    snprintf(scale, sizeof scale, "%s/s", folder);
    snprintf(shard, sizeof shard, "%s/0.shard", scale);
    assert(mkdir(folder, 0777) == 0 && mkdir(scale, 0777) == 0);
    atexit(remove_all);
    return 0;
}

static void check_error(exa_status st) {
    assert(st != EXA_ERR_INTERNAL && exa_error_last()->message[0]);
}

/* Opens what is there and reads its first voxels. */
static void try_volume(void) {
    exa_volume *v = NULL;
    exa_volume_info i;
    exa_box box = {{0, 0, 0}, {0, 0, 0}};
    static uint64_t voxels[32 * 32 * 32];
    exa_status st = exa_volume_open(folder, &v);

    if (st != EXA_OK) {
        check_error(st);
        return;
    }
    assert(exa_volume_get_info(v, &i) == EXA_OK);
    for (int a = 0; a < 3; a++) {
        assert(i.shape[a] > 0 && i.chunk[a] > 0 && i.voxel_size_nm[a] > 0);
        box.shape[a] = i.shape[a] < 32 ? i.shape[a] : 32;
    }
    /* Chunks of a GiB are allowed, but here they would only be slow. */
    if (i.chunk[0] * i.chunk[1] * i.chunk[2] < 1 << 20 &&
        (st = exa_volume_read(v, &box, i.dtype, voxels)) != EXA_OK)
        check_error(st);
    exa_volume_close(&v);
}

static void try_labels(const uint8_t *data, size_t size) {
    exa_coord shape[3], block[3];
    static uint64_t labels[16 * 16 * 16];
    size_t element;

    if (size < 3) return;
    for (int a = 0; a < 3; a++) {
        shape[a] = 1 + data[a] % 16;
        block[a] = 1 + data[a] / 16;
    }
    element = data[0] & 128 ? 4 : 8;
    unsigned char *copy = malloc(size - 3 + 1); /* so that a byte beyond is seen */
    memcpy(copy, data + 3, size - 3);
    exa_status st = exa_compressed_segmentation_decode(copy, size - 3, shape, block, element, labels);
    if (st != EXA_OK) check_error(st);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    unsigned char *out;
    size_t n;

    if (size == 0) return 0;
    switch (data[0] % 4) {
    case 0:
        put(info, data + 1, size - 1);
        try_volume();
        break;
    case 1: try_labels(data + 1, size - 1); break;
    case 2:
        put(info, shard_info, sizeof shard_info - 1);
        put(shard, data + 1, size - 1);
        try_volume();
        unlink(shard);
        break;
    default:
        if (exa_gzip_unpack(data + 1, size - 1, 100000, &out, &n) == EXA_OK) {
            assert(n <= 100000);
            free(out);
        }
    }
    return 0;
}
