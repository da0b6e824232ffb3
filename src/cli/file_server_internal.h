/* Serves the files of a folder to a web page of this machine's user: HTTP on 127.0.0.1, with the byte ranges and
 * the CORS headers that Neuroglancer needs. Reads only, and nothing outside the folder.
 */
#ifndef EXA_FILE_SERVER_INTERNAL_H
#define EXA_FILE_SERVER_INTERNAL_H

#include "exaconn/status.h"

typedef struct exa_file_server exa_file_server;

/* `origin` ("https://host") is whose pages may read; port 0 takes any free one. EXA_ERR_UNSUPPORTED in a build
 * without libmicrohttpd. Works in threads of its own until stopped. */
exa_status exa_file_server_start(const char *folder, const char *origin, int port, exa_file_server **out);
int exa_file_server_port(const exa_file_server *server);
void exa_file_server_stop(exa_file_server **server); /* accepts NULL inside */

#endif
