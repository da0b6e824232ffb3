# shellcheck shell=bash
# Sourced by run.sbatch and bench.sbatch, inside a Slurm allocation: which program, how many ranks where, bound to
# which cores, by which launcher. Whatever is chosen is said in the log.
script=${script:?} slurm_dir=${slurm_dir:?}

say() { echo "$script: $(date +%FT%T) $*"; }
die() { local code=$1; shift; echo "$script: error: $*" >&2; exit "$code"; }

# find_program: $exaconn, from $EXACONN, or the build beside this script, or what is installed beside it, or the PATH.
find_program() {
    local c
    for c in "${EXACONN:-}" "$slurm_dir/../../build/release/exaconn" "$slurm_dir/../../build/default/exaconn" \
             "$slurm_dir/../../../bin/exaconn" "$(command -v exaconn || true)"; do
        [ -n "$c" ] && [ -x "$c" ] || continue
        exaconn=$(realpath "$c")
        say "program: $exaconn ($("$exaconn" --version | head -n 1))"
        return
    done
    die 2 "no exaconn found. Hint: build it (cmake --preset release && cmake --build --preset release), put it on the PATH, or export EXACONN=/path/to/exaconn before sbatch"
}

# json_of KEY: that key's value in the object on standard input, as our programs print it (a key a line, one step in).
json_of() { sed -nE "s/^(\t|  )\"$1\":[[:space:]]*(.*[^,]),?\$/\2/p" | head -n 1 | sed -E 's/^"(.*)"$/\1/; s/\\(.)/\1/g'; }

# find_cores: $cores of each node that this job has, and $bindable: whether we know that they are ours alone.
find_cores() {
    local given all mine pus all_pus
    given=$(grep -oE '[0-9]+(\(x[0-9]+\))?' <<<"${SLURM_JOB_CPUS_PER_NODE:-$(nproc)}" | sed 's/(.*//' | sort -n | head -n 1)
    if command -v hwloc-calc >/dev/null && command -v hwloc-bind >/dev/null; then
        all=$(hwloc-calc -N core all) mine=$(hwloc-calc -N core "$(hwloc-bind --get)")
        all_pus=$(hwloc-calc -N pu all) pus=$(hwloc-calc -N pu "$(hwloc-bind --get)")
        domains=$(hwloc-calc -N numanode "$(hwloc-bind --get)")
    else
        say "no hwloc-calc here (package hwloc): cores are counted by lscpu"
        all=$(lscpu -p=CORE,SOCKET | grep -v '^#' | sort -u | wc -l) all_pus=$(getconf _NPROCESSORS_ONLN) pus=$(nproc)
        mine=$((all * pus / all_pus)) domains=$(lscpu -p=NODE | grep -v '^#' | sort -u | wc -l)
    fi
    bindable=1
    if [ "$pus" -lt "$all_pus" ]; then
        cores=$mine
        say "cores: $cores of $all on each node, to which Slurm confines the job"
    elif [ "$given" -ge "$all" ]; then
        cores=$all
        say "cores: all $cores of each node"
    else
        cores=$given bindable=0 domains=1
        say "cores: $cores of $all on each node; Slurm does not say which ones, so ranks are not bound"
    fi
    [ "$cores" -ge 1 ] || cores=1
    [ "$domains" -ge 1 ] && [ "$domains" -le "$cores" ] || domains=1
}

# place: $nodes, $per_node ranks on each, $ranks in all, $threads each. One rank for each GPU; else as many as sbatch
# was told; else one for each NUMA domain.
place() {
    local tasks
    nodes=${SLURM_JOB_NUM_NODES:-1}
    find_cores
    tasks=$(sed -nE 's/^([0-9]+)(\(x[0-9]+\))?$/\1/p' <<<"${SLURM_TASKS_PER_NODE:-1}")
    if [ -n "${SLURM_NTASKS_PER_NODE:-}" ]; then
        per_node=$SLURM_NTASKS_PER_NODE
        say "ranks: $per_node on each of $nodes nodes, by --ntasks-per-node"
    elif [ -n "${SLURM_NTASKS:-}" ]; then
        [ -n "$tasks" ] || die 2 "--ntasks=$SLURM_NTASKS cannot be shared equally among $nodes nodes. Hint: give --ntasks-per-node instead"
        per_node=$tasks
        say "ranks: $per_node on each of $nodes nodes, by --ntasks"
    elif [ "${SLURM_GPUS_ON_NODE:-0}" -gt 0 ]; then
        per_node=$SLURM_GPUS_ON_NODE
        say "ranks: $per_node on each of $nodes nodes, one for each GPU"
    else
        per_node=$domains
        say "ranks: $per_node on each of $nodes nodes, one for each NUMA domain"
    fi
    ranks=$((nodes * per_node)) threads=$((cores / per_node))
    if [ "$threads" -lt 1 ]; then
        threads=1 bindable=0
        say "warning: $per_node ranks share $cores cores: they wait for one another"
    fi
    say "threads: $threads for each rank$([ "$bindable" = 1 ] && echo ", bound to cores of their own")"
    [ $((cores * nodes)) -gt 1 ] || say "warning: the job has one core. Hint: sbatch --exclusive, or --ntasks-per-node=R --cpus-per-task=C"
    export EXACONN_THREADS=${EXACONN_THREADS:-$threads}
}

# The whole text first: a pipe that is closed early is a failure under pipefail.
mpirun_knows_slurm() { local text; text=$({ ompi_info; prte_info; } 2>/dev/null); grep -Eq 'plm: ?slurm' <<<"$text"; }
srun_pmix() { local text; text=$(srun --mpi=list 2>&1); grep -owm 1 pmix <<<"$text"; }

# choose_launcher: $launcher (mpirun, srun, or none for one rank where there is neither), its $options, and srun's $pmix.
choose_launcher() {
    local want=${EXACONN_LAUNCHER:-auto}
    pmix=''
    launcher='' options=()
    case $want in auto|mpirun|srun) ;; *) die 2 "EXACONN_LAUNCHER is '$want'. Hint: auto, mpirun or srun" ;; esac
    if [ "$want" != srun ] && command -v mpirun >/dev/null; then
        if [ "$nodes" -eq 1 ] || mpirun_knows_slurm; then launcher=mpirun; fi
        [ -n "$launcher" ] || say "this mpirun was built without Slurm support and cannot reach the other nodes"
    fi
    if [ -z "$launcher" ] && [ "$want" != mpirun ]; then
        pmix=$(srun_pmix)
        [ -z "$pmix" ] || launcher=srun
        if [ "$bindable" = 1 ] && ! grep -Eq '^TaskPlugin .*(affinity|cgroup)' <<<"$(scontrol show config)"; then
            bindable=0
            say "this Slurm binds no tasks (TaskPlugin): the ranks are not bound after all"
        fi
    fi
    if [ -z "$launcher" ]; then
        [ "$ranks" -eq 1 ] || die 2 "nothing here can start $ranks ranks: no mpirun with Slurm support on the PATH, and this srun has no PMIx (srun --mpi=list). Hint: load the MPI module that exaconn was built with"
        launcher=none
    fi
    set_launcher_options "$ranks" "$per_node" "$pmix"
    say "launcher: $launcher ${options[*]+"${options[*]}"}"
}

# set_launcher_options RANKS PER_NODE PMIX
set_launcher_options() {
    case $launcher in
        mpirun)
            options=(--map-by "ppr:$2:node" --bind-to none)
            [ "$bindable" = 0 ] || options=(--map-by "ppr:$2:node:pe=$threads" --bind-to core) ;;
        srun) # srun counts CPUs as Slurm does, threads of a core included
            options=(--mpi="$3" --ntasks-per-node="$2" --cpus-per-task="$((SLURM_CPUS_ON_NODE / $2 > 0 ? SLURM_CPUS_ON_NODE / $2 : 1))"
                     --kill-on-bad-exit=1 --cpu-bind="$([ "$bindable" = 1 ] && echo cores || echo none)")
            [ "${SLURM_CPUS_ON_NODE:-1}" -ge "$2" ] || options+=(--overcommit) ;;
    esac
}
