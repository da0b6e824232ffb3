/* Rank 0 prints into the file that becomes the table, the others into parts beside it, which they copy to their
 * place once everybody's size is known. */
#include "exaconn/table.h"

#include "exaconn/box.h"
#include "exaconn/comm.h"
#include "exaconn/file.h"
#include "exaconn/reduce.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct exa_table {
    FILE *rows;                     /* owned */
    char path[EXA_PATH_BYTES];      /* when it is whole */
    char temporary[EXA_PATH_BYTES]; /* of all ranks, until then */
    char part[EXA_PATH_BYTES];      /* what this rank prints into */
};

static exa_status name_files(exa_table *t, const char *path) {
    int rank = exa_comm_rank(), n;

    n = snprintf(t->path, sizeof t->path, "%s", path);
    EXA_CHECK(n >= 0 && n < (int)sizeof t->path - 32, EXA_ERR_RANGE, "path longer than %zu bytes: '%.80s...'",
              sizeof t->path - 33, path);
    if (rank == 0) EXA_TRY(exa_file_temporary_name(t->temporary, path));
    return EXA_OK;
}

static exa_status open_part(exa_table *t, const char *header) {
    if (exa_comm_rank() == 0) {
        memcpy(t->part, t->temporary, sizeof t->part);
    } else {
        size_t length = strlen(t->temporary);
        memcpy(t->part, t->temporary, length);
        snprintf(t->part + length, sizeof t->part - length, "-%d", exa_comm_rank());
    }
    t->rows = fopen(t->part, "w+");
    EXA_CHECK(t->rows, EXA_ERR_IO, "cannot create '%s': %s", t->part, strerror(errno));
    if (exa_comm_rank() == 0) fprintf(t->rows, "%s\n", header);
    return EXA_OK;
}

exa_status exa_table_create(const char *path, const char *header, exa_table **out) {
    exa_table *t = NULL;
    exa_status st = exa_calloc(1, sizeof *t, "a table", &t);

    if (st == EXA_OK) st = name_files(t, path);
    EXA_GOTO(done, exa_comm_agree(st));
    EXA_GOTO(done, exa_comm_broadcast(t->temporary, sizeof t->temporary));
    EXA_GOTO(done, exa_comm_agree(open_part(t, header)));
    *out = t;
    t = NULL;
done:
    exa_table_close(&t);
    return st;
}

FILE *exa_table_rows(exa_table *table) {
    return table->rows;
}

static exa_status write_at(int to, const exa_table *t, const char *bytes, size_t size, off_t at) {
    for (size_t done = 0; done < size;) {
        ssize_t n = pwrite(to, bytes + done, size - done, at + (off_t)done);
        EXA_CHECK(n > 0 || errno == EINTR, EXA_ERR_IO, "cannot write '%s': %s", t->temporary, strerror(errno));
        if (n > 0) done += (size_t)n;
    }
    return EXA_OK;
}

/* The rows of a rank but 0 to their place. */
static exa_status copy_part(exa_table *t, uint64_t at) {
    enum { BLOCK = 1 << 20 };
    char *block = NULL;
    int to = open(t->temporary, O_WRONLY | O_CLOEXEC);
    exa_status st = EXA_OK;
    size_t n;

    EXA_CHECK(to >= 0, EXA_ERR_IO, "cannot open '%s': %s", t->temporary, strerror(errno));
    EXA_GOTO(done, exa_alloc(BLOCK, 1, "copying a table", &block));
    rewind(t->rows);
    while ((n = fread(block, 1, BLOCK, t->rows)) > 0) {
        EXA_GOTO(done, write_at(to, t, block, n, (off_t)at));
        at += n;
    }
    EXA_CHECK_GOTO(done, !ferror(t->rows), EXA_ERR_IO, "cannot read '%s': %s", t->part, strerror(errno));
    EXA_CHECK_GOTO(done, fsync(to) == 0, EXA_ERR_IO, "cannot sync '%s': %s", t->temporary, strerror(errno));
done:
    free(block);
    close(to);
    return st;
}

static exa_status end_rows(exa_table *t, uint64_t *size) {
    bool wrong = fflush(t->rows) != 0 || ferror(t->rows);
    long end;

    EXA_CHECK(!wrong, EXA_ERR_IO, "cannot write '%s': %s", t->part, strerror(errno));
    EXA_CHECK(fseek(t->rows, 0, SEEK_END) == 0 && (end = ftell(t->rows)) >= 0, EXA_ERR_IO, "cannot write '%s': %s",
              t->part, strerror(errno));
    *size = (uint64_t)end;
    return EXA_OK;
}

exa_status exa_table_commit(exa_table *t) {
    uint64_t size = 0, before, total;

    EXA_TRY(exa_comm_agree(end_rows(t, &size)));
    EXA_TRY(exa_sum_before(size, &before, &total));
    EXA_TRY(exa_comm_agree(exa_comm_rank() == 0 ? EXA_OK : copy_part(t, before)));
    fclose(t->rows);
    t->rows = NULL;
    if (exa_comm_rank() != 0) remove(t->part);
    t->part[0] = '\0';
    return exa_comm_agree(exa_comm_rank() == 0 ? exa_file_commit(t->temporary, t->path) : EXA_OK);
}

void exa_table_close(exa_table **table) {
    exa_table *t = *table;

    if (!t) return;
    if (t->rows) fclose(t->rows);
    if (t->part[0]) remove(t->part);
    free(t);
    *table = NULL;
}
