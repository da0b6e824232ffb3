/* exaconn view: serves what was exported and prints the link that shows it. */
#include "cli_internal.h"

#include "exaconn/export.h"
#include "exaconn/file.h"
#include "exaconn/neuroglancer.h"
#include "exaconn/run_directory.h"
#include "file_server_internal.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST_STATE_BYTES = 16 << 20 };

/* What is served, and what the viewer is told of it. */
typedef struct viewing {
    char root[EXA_PATH_BYTES];
    char *state; /* owned; with a placeholder for the server */
} viewing;

static exa_status find_run(const char *run, viewing *v) {
    char path[EXA_PATH_BYTES];
    size_t size;

    EXA_TRY(exa_path_join(path, run, EXA_EXPORT_STATE_FILE));
    EXA_TRY(exa_path_join(v->root, run, EXA_EXPORT_FOLDER));
    EXA_CHECK(
        exa_file_exists(path), EXA_ERR_CONFIG,
        "'%s' has nothing to look at yet (no %s). Hint: make it with `exaconn export %s`, or \"precomputed\" in "
        "the job",
        run, EXA_EXPORT_STATE_FILE, run);
    return exa_file_read_all(path, LARGEST_STATE_BYTES, &v->state, &size);
}

static exa_status find_volume(const char *folder, viewing *v) {
    char resolved[EXA_PATH_BYTES];
    exa_neuroglancer_layer layer = {.path = "", .folder = folder};
    size_t n;

    EXA_TRY(exa_path_join(v->root, folder, ""));
    snprintf(resolved, sizeof resolved, "%s", folder);
    for (n = strlen(resolved); n > 1 && resolved[n - 1] == '/'; n--) resolved[n - 1] = '\0';
    layer.name = exa_path_basename(resolved);
    return exa_neuroglancer_state(&layer, 1, &v->state);
}

static exa_status find(const char *name, viewing *v) {
    if (exa_precomputed_recognise(name)) return find_volume(name, v);
    EXA_CHECK(
        exa_run_directory_recognise(name, NULL), EXA_ERR_CONFIG,
        "'%s' is neither a run directory nor a precomputed volume. Hint: exaconn export VOLUME -o FOLDER makes one",
        name);
    return find_run(name, v);
}

static exa_status print_link(const viewing *v, const char *client, int port) {
    char server[64], *state = NULL, *url = NULL;
    exa_status st = EXA_OK;

    snprintf(server, sizeof server, "http://127.0.0.1:%d", port);
    EXA_GOTO(done, exa_neuroglancer_place(v->state, server, &state));
    EXA_GOTO(done, exa_neuroglancer_link(client, state, &url));
    printf("%s\n", url);
    fflush(stdout);
done:
    free(state);
    free(url);
    return st;
}

static exa_status serve(const viewing *v, const char *client, int port) {
    exa_file_server *server = NULL;
    char origin[512];
    const char *host = strstr(client, "://");
    sigset_t stops;
    int number = 0;
    exa_status st = EXA_OK;

    EXA_CHECK(host && host[3], EXA_ERR_CONFIG, "--client %s: give the address of a Neuroglancer page, as %s",
              client, EXA_NEUROGLANCER_CLIENT);
    snprintf(origin, sizeof origin, "%.*s", (int)(host + 3 + strcspn(host + 3, "/") - client), client);
    sigemptyset(&stops);
    sigaddset(&stops, SIGINT);
    sigaddset(&stops, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &stops, NULL); /* before the server's threads, so that they come here */
    EXA_TRY(exa_file_server_start(v->root, origin, port, &server));
    EXA_INFO("serving '%s' on 127.0.0.1 to pages of %s; Ctrl-C ends it", v->root, origin);
    EXA_GOTO(done, print_link(v, client, exa_file_server_port(server)));
    sigwait(&stops, &number);
    EXA_INFO("ended");
done:
    exa_file_server_stop(&server);
    return st;
}

static exa_status run(const exa_cli_arguments *arguments) {
    const char *client = exa_cli_text(arguments, "client");
    int64_t port = exa_cli_int(arguments, "port", 0);
    bool wait = !exa_cli_has(arguments, "no-wait");
    viewing v = {.state = NULL};
    exa_status st;

    if (!client) client = EXA_NEUROGLANCER_CLIENT;
    EXA_CHECK(port >= 0 && port <= 65535, EXA_ERR_CONFIG, "--port %lld: choose 1 to 65535", (long long)port);
    EXA_CHECK(wait || port > 0, EXA_ERR_CONFIG, "--no-wait serves nothing, so say where it is served: --port N");
    EXA_TRY(find(exa_cli_positional(arguments, 0), &v));
    st = wait ? serve(&v, client, (int)port) : print_link(&v, client, (int)port);
    free(v.state);
    return st;
}

const exa_cli_command exa_cmd_view = {
    .name = "view",
    .positional = "RUN",
    .positional_min = 1,
    .positional_max = 1,
    .summary = "show what a run made in Neuroglancer",
    .description = "Serves the exported volumes of a run (RUN/precomputed), or one precomputed folder, on "
                   "127.0.0.1, and prints "
                   "the link that shows them in a browser of this machine. Ctrl-C ends it. Nothing leaves this "
                   "machine: the page "
                   "comes from its own server and reads the voxels from here; only pages of that server may.\n"
                   "On a cluster: --port N there, and `ssh -L N:127.0.0.1:N HOST` here.",
    .example = "exaconn view RUN\n"
               "exaconn view RUN/precomputed/segmentation --port 9000",
    .options =
        (const exa_cli_option[]){
            {"port", 0, EXA_CLI_INT, "N", "the port to serve on (default: any free one)"},
            {"client", 0, EXA_CLI_TEXT, "URL", "another Neuroglancer than " EXA_NEUROGLANCER_CLIENT},
            {"no-wait", 0, EXA_CLI_FLAG, NULL, "only print the link for --port, where another process serves"},
            {0}},
    .run = run,
};
