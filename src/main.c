/* The exaconn program. */
#include "exaconn/cli.h"

int main(int argc, char **argv) {
    return exa_cli_main(argc, argv);
}
