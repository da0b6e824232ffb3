/* exaconn embed: SegCLR embeddings of any segmentation. */
#include "cli_internal.h"

#include "exaconn/comm.h"
#include "exaconn/cpu.h"
#include "exaconn/embedding.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static exa_status positive(const exa_cli_arguments *a, const char *option, double least, double *value) {
    *value = exa_cli_real(a, option, *value);
    EXA_CHECK(*value >= least && *value <= 1e12, EXA_ERR_CONFIG, "--%s %g: at least %g", option, *value, least);
    return EXA_OK;
}

static exa_status take_options(const exa_cli_arguments *a, exa_embedding_options *o, exa_coord offset[3],
                               exa_box *box) {
    const char *distance = exa_cli_text(a, "mean-distance");

    exa_embedding_defaults(o);
    o->segmentation = exa_cli_positional(a, 0);
    o->image = exa_cli_text(a, "image");
    o->weights = exa_cli_text(a, "weights");
    o->classifier = exa_cli_text(a, "classifier");
    o->output = exa_cli_text(a, "output");
    o->csv = exa_cli_text(a, "csv");
    EXA_CHECK(o->image, EXA_ERR_CONFIG, "say which image was segmented. Hint: --image em.h5:/raw");
    EXA_CHECK(o->weights, EXA_ERR_CONFIG,
              "say which network is to be used. Hint: --weights segclr.h5, made by exaconn import-segclr");
    EXA_TRY(exa_cli_check_output(a, o->output, "embeddings.h5"));
    o->replace = exa_cli_has(a, "force");
    if (exa_cli_triple(a, "offset", offset)) o->offset = offset;
    EXA_TRY(exa_cli_parse_size(a, "voxel-size", o->voxel_nm));
    EXA_TRY(positive(a, "spacing", 1, &o->spacing_nm));
    EXA_TRY(positive(a, "mean-radius", 0, &o->aggregate_nm));
    if (distance && strcmp(distance, "euclidean") == 0) o->distance = EXA_EMBEDDING_EUCLIDEAN;
    o->min_voxels = exa_cli_int(a, "min-voxels", 1);
    o->threads = (int)exa_cli_int(a, "threads", exa_cpu_cores_of(exa_comm_local_size()));
    EXA_CHECK(o->min_voxels >= 1, EXA_ERR_CONFIG, "--min-voxels %lld: at least 1", (long long)o->min_voxels);
    EXA_CHECK(o->threads >= 1 && o->threads <= 1024, EXA_ERR_CONFIG, "--threads %d: 1 to 1024", o->threads);
    if (exa_cli_has(a, "box")) {
        EXA_TRY(exa_cli_parse_box(exa_cli_text(a, "box"), box));
        o->box = box;
    }
    return EXA_OK;
}

static void print_facts(const exa_embedding_options *o, const exa_embedding_facts *f) {
    printf("volume       %lld x %lld x %lld voxels of the network's size (z,y,x)\n", (long long)f->shape[0],
           (long long)f->shape[1], (long long)f->shape[2]);
    printf("segments     %" PRIu64 "; %" PRIu64 " smaller than %lld voxels left out\n", f->segments,
           f->small_segments, (long long)o->min_voxels);
    printf("without node %" PRIu64 " segments without a voxel at the network's size\n", f->vanished);
    printf("nodes        %" PRIu64 ", %g nm apart\n", f->nodes, o->spacing_nm);
    printf("network      %s\n", f->description);
    printf("             %s\n", f->network);
    if (f->seconds > 0) printf("speed        %.1f s in the network of this rank\n", f->seconds);
    printf("written      %s%s%s\n", o->output, o->csv ? " and " : "", o->csv ? o->csv : "");
}

static exa_status run(const exa_cli_arguments *arguments) {
    exa_embedding_options options;
    exa_embedding_facts facts = {.nodes = 0};
    exa_coord offset[3];
    exa_box box;

    EXA_TRY(exa_comm_init());
    EXA_TRY(exa_comm_agree(take_options(arguments, &options, offset, &box)));
    EXA_TRY(exa_embedding_run(&options, &facts));
    if (exa_comm_rank() == 0) print_facts(&options, &facts);
    return EXA_OK;
}

static const exa_cli_option options_table[] = {
    {"image", 'i', EXA_CLI_PATH, "VOLUME", "the uint8 image that was segmented, or all of it (required)"},
    {"weights", 'w', EXA_CLI_PATH, "FILE", "the network, made by import-segclr (required)"},
    {"output", 'o', EXA_CLI_PATH, "FILE", "the table to write (required)"},
    {"csv", 0, EXA_CLI_PATH, "FOLDER", "also one SEGMENT.csv each, as in SegCLR's releases"},
    {"classifier", 0, EXA_CLI_PATH, "FILE", "classify the means along the path"},
    {"voxel-size", 0, EXA_CLI_TEXT, "Z,Y,X", "of the volumes in nm, if they do not say or are wrong"},
    {"box", 0, EXA_CLI_TEXT, "Z,Y,X,DZ,DY,DX", "only this box, counted as --offset is: first voxel, then extents"},
    {"offset", 0, EXA_CLI_TRIPLE, "Z,Y,X",
     "where the segmentation's first voxel lies (default: its offset_zyx_vx, else 0)"},
    {"spacing", 0, EXA_CLI_REAL, "NM", "between nodes along a skeleton (default 1500)"},
    {"mean-radius", 0, EXA_CLI_REAL, "NM", "how far embeddings are averaged (default 10000)"},
    {"mean-distance", 0, EXA_CLI_TEXT, "path|euclidean", "how that is measured (default path)"},
    {"min-voxels", 0, EXA_CLI_INT, "N", "smallest segment, at the network's voxel size (default 1)"},
    {"threads", 't', EXA_CLI_INT, "N", "threads of each process (default: its cores)"},
    {"force", 'f', EXA_CLI_FLAG, NULL, "replace an existing table, and an earlier run's files in FOLDER"},
    {NULL, 0, EXA_CLI_FLAG, NULL, NULL}};

const exa_cli_command exa_cmd_embed = {
    .name = "embed",
    .positional = "SEGMENTATION",
    .positional_min = 1,
    .positional_max = 1,
    .summary = "compute SegCLR embeddings of the segments of a volume",
    .description =
        "SEGMENTATION is any volume of labels (ours or not), the image the volume of the same voxels that it is a "
        "segmentation of, or a larger one: then it is read where the segmentation lies by its offset_zyx_vx or "
        "--offset, which positions include, too. Both are brought to the network's voxel size: the image by "
        "averages, the labels by "
        "majority. Every segment gets a skeleton and nodes along it; around each node the image where the segment "
        "is, "
        "and nothing elsewhere, goes through the network. What lies outside the volume counts as nothing; how much "
        "of "
        "each patch that was is in the table.\n\n"
        "The table is an HDF5 file with one row per node: segment, position, parent on the tree, embedding, and "
        "the "
        "mean of the embeddings within --mean-radius along the path; docs/formats.md has its columns. With a "
        "classifier it has a class, probabilities and an uncertainty, too. The whole box is held in memory at the "
        "network's voxel size. Under mpirun the segments are shared out; the table's bytes are the same for any "
        "number of ranks and threads.",
    .example =
        "exaconn embed out/segmentation.h5:/seg --image em.h5:/raw -w segclr.h5 -o embeddings.h5\n"
        "mpirun -n 8 exaconn embed seg.h5:/seg -i em.h5:/raw -w segclr.h5 --voxel-size 33,8,8 -o e.h5 --csv e",
    .options = options_table,
    .run = run,
};
