/* exaconn connectome: what touches, and what is connected. */
#include "cli_internal.h"

#include "exaconn/comm.h"
#include "exaconn/connectome.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Which of the names an option has, or `otherwise` if it is not given. */
static int choose(const exa_cli_arguments *arguments, const char *option, const char *const *names, int otherwise) {
    const char *text = exa_cli_text(arguments, option);

    for (int i = 0; text && names[i]; i++)
        if (strcmp(text, names[i]) == 0) return i;
    return otherwise;
}

static exa_status table_options(const exa_cli_arguments *arguments, exa_connectome_options *o) {
    static const char *const of_tables[] = {"format",       "units",    "axes",         "table-voxel-size",
                                            "min-synapses", "autapses", "search-radius"};
    static const char *const units[] = {"", "voxels", "nm", NULL}, *const axes[] = {"", "zyx", "xyz", NULL};

    o->synapses = exa_cli_text(arguments, "synapses");
    for (size_t i = 0; !o->synapses && i < sizeof of_tables / sizeof *of_tables; i++)
        EXA_CHECK(!exa_cli_has(arguments, of_tables[i]), EXA_ERR_CONFIG,
                  "--%s is about a table of synapses, and none is given. Hint: --synapses FILE", of_tables[i]);
    if (!o->synapses) return EXA_OK;
    EXA_CHECK(exa_cli_has(arguments, "format"), EXA_ERR_CONFIG,
              "what kind of table is '%s'? Hint: --format exaconn-csv, cave-csv, flyem-json, ...: see exaconn "
              "connectome --help",
              o->synapses);
    o->table.format = (exa_synapse_format)choose(arguments, "format", exa_synapse_format_names, 0);
    o->table.units = (exa_synapse_units)choose(arguments, "units", units, EXA_SYNAPSE_UNITS_UNSAID);
    o->table.axes = (exa_synapse_axes)choose(arguments, "axes", axes, EXA_SYNAPSE_AXES_UNSAID);
    return exa_cli_parse_size(arguments, "table-voxel-size", o->table.voxel_size_nm);
}

static exa_status number(const exa_cli_arguments *arguments, const char *option, int64_t least, int64_t *value) {
    *value = exa_cli_int(arguments, option, *value);
    EXA_CHECK(*value >= least, EXA_ERR_CONFIG, "--%s %lld: at least %lld", option, (long long)*value,
              (long long)least);
    return EXA_OK;
}

static exa_status fill_options(const exa_cli_arguments *arguments, exa_coord offset[3], exa_connectome_options *o) {
    static const char *const of_volumes[] = {"voxel-size", "offset",         "chunk",
                                             "no-sites",   "candidate-area", "search-radius"};
    int64_t min_synapses = 1;

    *o = (exa_connectome_options){.candidate_area_nm2 = -1, .progress_s = 10};
    if (exa_cli_positional_count(arguments) > 0) o->segmentation = exa_cli_positional(arguments, 0);
    o->folder = exa_cli_text(arguments, "output");
    EXA_CHECK(o->folder, EXA_ERR_CONFIG, "say where it goes. Hint: -o FOLDER");
    for (size_t i = 0; !o->segmentation && i < sizeof of_volumes / sizeof *of_volumes; i++)
        EXA_CHECK(!exa_cli_has(arguments, of_volumes[i]), EXA_ERR_CONFIG,
                  "--%s is about a segmentation, and none is given", of_volumes[i]);
    EXA_TRY(table_options(arguments, o));
    EXA_TRY(exa_cli_parse_size(arguments, "voxel-size", o->voxel_size_nm));
    if (exa_cli_triple(arguments, "offset", offset)) o->offset = offset;
    if (exa_cli_triple(arguments, "chunk", o->chunk))
        for (int a = 0; a < 3; a++)
            EXA_CHECK(o->chunk[a] > 0, EXA_ERR_CONFIG, "--chunk: at least 1 voxel on each axis");
    o->no_sites = exa_cli_has(arguments, "no-sites");
    o->autapses = exa_cli_has(arguments, "autapses");
    EXA_TRY(number(arguments, "min-synapses", 1, &min_synapses));
    o->min_synapses = (uint64_t)min_synapses;
    o->search_radius_nm = exa_cli_real(arguments, "search-radius", 0);
    if (exa_cli_has(arguments, "candidate-area")) {
        o->candidate_area_nm2 = exa_cli_real(arguments, "candidate-area", 0);
        EXA_CHECK(o->candidate_area_nm2 >= 0, EXA_ERR_CONFIG, "--candidate-area %g: nm^2, not negative",
                  o->candidate_area_nm2);
    }
    return EXA_OK;
}

static exa_status run(const exa_cli_arguments *arguments) {
    exa_connectome_options o;
    exa_coord offset[3];

    EXA_TRY(exa_comm_init());
    if (exa_comm_rank() != 0) exa_log_set_level(EXA_LOG_ERROR);
    EXA_TRY(exa_comm_agree(fill_options(arguments, offset, &o)));
    return exa_connectome_make(&o);
}

const exa_cli_command exa_cmd_connectome = {
    .name = "connectome",
    .positional = "[SEGMENTATION]",
    .positional_min = 0,
    .positional_max = 1,
    .summary = "count which segments touch, and which are connected by synapses",
    .description =
        "Of a SEGMENTATION (any volume of labels, 0 = background) it makes segments.csv (voxels, box, centre), "
        "contacts.csv (faces and area of every pair that touches) and contact_sites.csv (the patches in which they "
        "do). Of a table of synapses it makes connections.csv and the same connectome as edge list, GraphML and "
        "sparse matrix in HDF5. With both, positions are looked up in the segmentation, and connections have the "
        "area of their contact; without a segmentation the table's own ids count.\n\n"
        "Formats of tables: exaconn-csv (exaconn phantom --synapses), exaconn-hdf5 (synapses.h5 of this command), "
        "flyem-json, cave-csv, codex-csv, neuprint-csv, syconn-csv. Units and axes are never guessed. Rows that "
        "cannot be used are counted and listed in rejected.csv; what cannot be read is an error with its line.\n\n"
        "Works chunk by chunk, under mpirun with the chunks shared out; the bytes of all results depend neither on "
        "the chunks nor on the number of ranks. The same command goes on where one was interrupted. "
        "docs/circuits.md has the definitions.",
    .example =
        "exaconn connectome run/segmentation.h5:/segmentation -o contacts\n"
        "exaconn connectome phantom:seed=7,shape=256:/labels --synapses synapses.csv --format exaconn-csv -o "
        "connectome\n"
        "mpirun -n 8 exaconn connectome seg.h5:/labels --synapses cave.csv --format cave-csv --units voxels "
        "--table-voxel-size 40,4,4 --search-radius 100 --min-synapses 5 -o connectome\n"
        "exaconn connectome --synapses connections.csv --format codex-csv --min-synapses 5 -o flywire",
    .options =
        (const exa_cli_option[]){
            {"output", 'o', EXA_CLI_PATH, "FOLDER", "the new folder (required)"},
            {"synapses", 's', EXA_CLI_PATH, "FILE", "table of synapses"},
            {"format", 0, EXA_CLI_TEXT,
             "exaconn-csv|exaconn-hdf5|flyem-json|cave-csv|codex-csv|neuprint-csv|syconn-csv",
             "what kind of table it is (required with --synapses)"},
            {"units", 0, EXA_CLI_TEXT, "voxels|nm", "of its positions, where the format does not say"},
            {"axes", 0, EXA_CLI_TEXT, "zyx|xyz", "in which order a location lists them (flyem-json)"},
            {"table-voxel-size", 0, EXA_CLI_TEXT, "Z,Y,X",
             "nm of the voxels the table counts in (default: those of the segmentation; required for cave-csv)"},
            {"search-radius", 'r', EXA_CLI_REAL, "NM",
             "around positions on background: the nearest segment (default 0)"},
            {"min-synapses", 0, EXA_CLI_INT, "N", "leave connections of fewer synapses out (default 1)"},
            {"autapses", 0, EXA_CLI_FLAG, NULL, "connections of a segment with itself count"},
            {"candidate-area", 0, EXA_CLI_REAL, "NM2",
             "list contact sites of at least this area in synapse_candidates.csv: places to look at, no synapses"},
            {"no-sites", 0, EXA_CLI_FLAG, NULL, "leave contact sites out"},
            {"voxel-size", 0, EXA_CLI_TEXT, "Z,Y,X", "nm (default: what the segmentation says)"},
            {"offset", 0, EXA_CLI_TRIPLE, "Z,Y,X",
             "where the segmentation's first voxel lies (default: its offset_zyx_vx, else 0)"},
            {"chunk", 0, EXA_CLI_TRIPLE, "Z,Y,X", "voxels read at once (default 256); never changes a result"},
            {0}},
    .run = run,
};
